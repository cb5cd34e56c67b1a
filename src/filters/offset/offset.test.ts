import assert from 'node:assert/strict';
import { test } from 'node:test';
import { filterSource, pluginSource, REQUEST } from '../../../test/contract/open.ts';
import { StrictDevice } from '../../../test/peer/strict-device.ts';
import { contiguous } from '../../block/data.ts';
import { PASS, wrapDevice } from '../../block/wrap.ts';

const PAYLOAD = Buffer.alloc(50, 'payload');

async function openPart(size: string, ...words: string[]) {
  const source = await filterSource(await pluginSource('pattern', size), 'offset', ...words);
  return await source.open(REQUEST);
}

test('byte 0 is the byte at the offset', async () => {
  const device = await openPart('1M', 'offset=4096', 'range=8192');
  assert.equal(device.size, 8192n);
  const bytes = Buffer.from(contiguous(await device.read(8n, 8)));
  assert.equal(bytes.readBigUInt64BE(), 4104n);
});

test('without a range it goes to the end', async () => {
  assert.equal((await openPart('1M', 'offset=1000k')).size, 24n << 10n);
  assert.equal((await openPart('1M', 'offset=1M')).size, 0n);
  assert.equal((await openPart('1M', 'range=10')).size, 10n);
});

test('a part that is not all there is an error', async () => {
  await assert.rejects(openPart('1M', 'offset=2M'), {
    errno: 'EIO',
    message: 'offset=2097152 is past the end of the disk, which is 1048576',
  });
  await assert.rejects(openPart('1M', 'offset=512k', 'range=1M'), {
    errno: 'EIO',
    message: /offset=524288 and range=1048576 reach past the end/,
  });
});

test('connections that write into one block of the disk below keep the bytes of each other', async () => {
  const blockSize = { minimum: 4096, preferred: 4096, maximum: 65536 };
  const disk = new StrictDevice(Buffer.alloc(16384), { blockSize });
  const below = { open: () => ({ ...wrapDevice(disk, PASS), close: () => {} }) };
  const source = await filterSource(below, 'offset', 'offset=1');
  const connections = [await source.open(REQUEST), await source.open(REQUEST)];
  const writes = connections.map((one, index) => one.write!(BigInt(index * 100), PAYLOAD));
  await Promise.all(writes);
  const expected = Buffer.alloc(16384);
  for (const at of [1, 101]) PAYLOAD.copy(expected, at);
  assert.deepEqual(disk.bytes, expected);
});
