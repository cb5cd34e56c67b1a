import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openOver, openPlugin } from '../../../test/contract/open.ts';
import { StrictDevice } from '../../../test/peer/strict-device.ts';

const refused = (range: string) => ({
  name: 'BlockError',
  errno: 'EPERM',
  message: `protect filter prevented write to protected range ${range}`,
});

test('what would change a protected byte is refused, and none of it is done', async () => {
  const disk = Buffer.alloc(4096, 7);
  const device = await openOver(new StrictDevice(disk), 'protect protect=512-1023 protect=2000-');
  const write = async (at: number, bytes: Buffer) => await device.write!(BigInt(at), bytes);
  await write(0, Buffer.alloc(512, 1));
  await write(1024, Buffer.alloc(976, 1));
  await write(0, Buffer.concat([Buffer.alloc(512, 2), Buffer.alloc(512, 7)]));
  const changed = Buffer.alloc(1024, 7);
  changed[1023] = 0;
  await assert.rejects(write(0, changed), refused('512-1023'));
  await assert.rejects(write(4095, Buffer.of(0)), refused('2000-9223372036854775806'));
  await assert.rejects(async () => await device.zero!(1000n, 24), refused('512-1023'));
  assert.deepEqual([disk[0], disk[511], disk[1023], disk[1024]], [2, 2, 7, 1]);
});

test('~ protects all the others', async () => {
  const device = await openOver(await openPlugin('memory', '1M'), 'protect protect=~100-199');
  await device.write!(100n, Buffer.alloc(100, 1));
  await device.zero!(0n, 50);
  await assert.rejects(async () => await device.write!(99n, Buffer.of(1)), refused('0-99'));
  await assert.rejects(async () => await device.write!(200n, Buffer.of(1)), { errno: 'EPERM' });
});

test('ranges over a disk of whole blocks', async () => {
  const blockSize = { minimum: 512, preferred: 512, maximum: 4096 };
  const disk = new StrictDevice(Buffer.alloc(8192), { blockSize });
  const device = await openOver(disk, 'protect protect=0x3-010');
  await device.zero!(0n, 512);
  await assert.rejects(async () => await device.write!(0n, Buffer.alloc(512, 1)), refused('3-8'));
});

test('ranges that do not parse', async () => {
  const memory = await openPlugin('memory', '1M');
  for (const [range, message] of [
    ['5', /^protect: cannot parse range, missing '-': 5/],
    ['9-5', 'protect: invalid range, end < start: 9-5'],
    ['0-x', /^protect: cannot parse 'x'/],
    ['0-0x8000000000000000', /^protect: .* larger than/],
  ] as const) {
    await assert.rejects(openOver(memory, `protect protect=${range}`), {
      name: 'UsageError',
      message,
    });
  }
});
