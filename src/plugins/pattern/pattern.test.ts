import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { openPlugin } from '../../../test/contract/open.ts';
import { contiguous } from '../../block/data.ts';

test('every 8 bytes hold their offset, also across 2^32 and at the end', async () => {
  const device = await openPlugin('pattern', '9223372036854775807');
  for (const start of [0n, 2n ** 32n - 2048n, 2n ** 33n - 8n, 2n ** 63n - 4096n]) {
    const bytes = Buffer.from(contiguous(await device.read(start, 4088)));
    for (let at = 0; at < bytes.length; at += 8) {
      assert.equal(bytes.readBigUInt64BE(at), start + BigInt(at));
    }
  }
  const last = Buffer.from(contiguous(await device.read(2n ** 63n - 8n, 7)));
  assert.equal(last.toString('hex'), '7ffffffffffffff8'.slice(0, 14));
});

test('a long read from anywhere is the same bytes as short ones', async () => {
  const device = await openPlugin('pattern', '1T');
  const start = 2n ** 32n - 100_003n;
  const bytes = Buffer.from(contiguous(await device.read(start, 200_007)));
  for (let at = 0; at < bytes.length; at += 997) {
    const few = contiguous(await device.read(start + BigInt(at), Math.min(997, bytes.length - at)));
    assert.ok(bytes.subarray(at, at + few.length).equals(few), `at ${at}`);
  }
});

test('memory that the caller lends is used when it fits', async () => {
  const device = await openPlugin('pattern', '1G');
  const scratch = Buffer.alloc(4096);
  const memory = (length: number) => scratch.subarray(0, length);
  const bytes = contiguous(await device.read(8n, 1024, { memory }));
  assert.equal(bytes.buffer, scratch.buffer);
  assert.equal(Buffer.from(bytes).readBigUInt64BE(1016), 1024n);
});

test('what is written is checked, and the first wrong byte named', async () => {
  const device = await openPlugin('pattern', '1M');
  const bytes = Buffer.from(contiguous(await device.read(1000n, 5000)));
  await device.write!(1000n, bytes);
  bytes[77] = 1;
  bytes[4000] = 1;
  await assert.rejects(async () => await device.write!(1000n, bytes), {
    errno: 'EIO',
    offset: 1077n,
    message: /differs from the disk at offset 1077/,
  });
});

test('the bytes are those of the C plugin', async t => {
  const command = 'nbdcopy "$uri" -';
  let theirs: Buffer;
  try {
    const args = ['-U', '-', 'pattern', '1000003', '--run', command];
    theirs = execFileSync('/usr/bin/nbdkit', args, {
      maxBuffer: 1 << 22,
      env: { ...process.env, PATH: `/usr/bin:${process.env.PATH}` },
    });
  } catch {
    return t.skip('needs nbdkit');
  }
  const device = await openPlugin('pattern', '1000003');
  assert.ok(theirs.equals(contiguous(await device.read(0n, 1_000_003))));
});
