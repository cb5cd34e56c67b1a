import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GrowingMemory, makeImage } from '../../../test/peer/images.ts';
import { readBytes } from '../../testing/model.ts';
import { openImage } from '../open-image.ts';

const MIB = 1 << 20;

async function image(size = 8n << 20n, options = ''): Promise<GrowingMemory> {
  const file = new GrowingMemory(Buffer.alloc(0));
  await makeImage(file, 'vdi', size, options);
  return file;
}

async function open(file: GrowingMemory, readOnly = false) {
  return (await openImage({ device: file }, { format: 'vdi', readOnly })).device;
}

test('blocks are appended in the order in which they are written', async () => {
  const file = await image();
  assert.equal(file.bytes.length, 1024);
  const device = await open(file);
  await device.write!(BigInt(5 * MIB + 10), Buffer.from('five'));
  await device.write!(10n, Buffer.from('zero'));
  await device.close!();
  assert.equal(file.bytes.length, 1024 + 2 * MIB);
  assert.equal(file.bytes.readUInt32LE(388), 2);
  assert.equal(file.bytes.readUInt32LE(512 + 5 * 4), 0);
  assert.equal(file.bytes.readUInt32LE(512), 1);
  const again = await open(file, true);
  assert.equal(again.write, undefined);
  assert.equal((await readBytes(again, BigInt(5 * MIB + 10), 4)).toString(), 'five');
  assert.deepEqual(await again.extents!(0n, 8 * MIB), [
    { length: MIB, hole: false, zero: false },
    { length: 4 * MIB, hole: true, zero: true },
    { length: MIB, hole: false, zero: false },
    { length: 2 * MIB, hole: true, zero: true },
  ]);
});

test('a discarded block is zeroes, and a count that is too small overwrites nothing', async () => {
  const file = await image();
  const device = await open(file);
  await device.write!(0n, Buffer.alloc(3 * MIB, 7));
  await device.close!();
  file.bytes.writeUInt32LE(0xffff_fffe, 512);
  file.bytes.writeUInt32LE(0, 388);
  const again = await open(file);
  assert.ok((await readBytes(again, 0n, MIB)).every(byte => byte === 0));
  await again.write!(BigInt(4 * MIB), Buffer.alloc(MIB, 9));
  assert.ok((await readBytes(again, BigInt(MIB), 2 * MIB)).every(byte => byte === 7));
});

const put = (at: number, value: number) => (bytes: Buffer) => void bytes.writeUInt32LE(value, at);

const WRONG: readonly (readonly [what: string, (bytes: Buffer) => void, message: RegExp])[] = [
  ['signature', put(64, 1), /no VDI image/],
  ['version', put(68, 0x00020000), /version 2.0 is not supported/],
  ['type', put(76, 4), /images over others \(type 4\)/],
  ['link', put(424, 1), /images over others/],
  ['parent', put(440, 1), /images over others/],
  ['table in the header', put(340, 0), /the table is at byte 0/],
  ['table between sectors', put(340, 513), /the table is at byte 513/],
  ['data in the table', put(344, 512), /the data is at byte 512, in the table/],
  ['data between sectors', put(344, 1025), /the data is at byte 1025, between/],
  ['sectors', put(360, 4096), /sector size 4096 is not 512/],
  ['size', put(372, 0xff_ffff), /Unsupported VDI image size/],
  ['no blocks', put(376, 0), /block size 0 is not 1048576/],
  ['blocks', put(376, 0xffff_ffff), /block size 4294967295 is not/],
  ['odd blocks', put(376, 3 << 20), /block size 3145728 is not/],
  ['extra', put(380, 512), /512 bytes beside each block/],
  ['count', put(384, 0xffff_ffff), /too many blocks 4294967295/],
  ['too few', put(384, 7), /image bitmap has room for 7340032/],
  ['entry', put(512, 5), /block 5 lies beyond the end of the file/],
  ['largest entry', put(512, 0xffff_fffd), /lies beyond the end of the file/],
];

test('headers with wrong fields are refused with words', async () => {
  const file = await image();
  const good = Buffer.from(file.bytes);
  for (const [what, damage, message] of WRONG) {
    good.copy(file.bytes);
    damage(file.bytes);
    await assert.rejects(open(file), { name: 'BlockError', message }, what);
  }
  put(512, 5)(good);
  const reading = await open(new GrowingMemory(good), true);
  await assert.rejects(async () => reading.read(0n, 512), { errno: 'EIO', message: /beyond/ });
  for (const length of [0, 100, 511]) {
    const cut = new GrowingMemory(good.subarray(0, length));
    await assert.rejects(open(cut), { name: 'BlockError' });
  }
});

test('a disk that is too large is refused', async () => {
  await assert.rejects(image(1n << 50n), { message: /Unsupported VDI image size/ });
});

test('a check finds blocks beyond the file, at one place, and a wrong count', async () => {
  const file = await image();
  const device = await open(file);
  await device.write!(0n, Buffer.alloc(3 * MIB, 7));
  await device.close!();
  const checked = async () =>
    (await openImage({ device: file }, { format: 'vdi', readOnly: true })).check!();
  const good = await checked();
  assert.deepEqual([good.corruptions, good.allocatedClusters, good.totalClusters], [0, 3, 8]);
  file.bytes.writeUInt32LE(4, 388);
  const leaking = await checked();
  assert.deepEqual([leaking.corruptions, leaking.leaks], [0, 1]);
  file.bytes.writeUInt32LE(3, 388);
  file.bytes.writeUInt32LE(0, 512 + 4);
  file.bytes.writeUInt32LE(77, 512 + 16);
  assert.deepEqual((await checked()).findings, [
    'ERROR: block 4: the image is damaged: a block lies beyond the file, at 80741376',
    'ERROR: two blocks are at 1024',
  ]);
});
