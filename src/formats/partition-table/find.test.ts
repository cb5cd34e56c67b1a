import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StrictDevice } from '../../../test/peer/strict-device.ts';
import { findPartition } from './find.ts';
import { gptTables, LINUX_FILESYSTEM } from './gpt.ts';
import { type MbrEntry, mbrSector, SECTOR } from './mbr.ts';

const SECTORS = 200;

/** A disk with sectors at places. */
function disk(sectors: Readonly<Record<number, Buffer>>): Buffer {
  const bytes = Buffer.alloc(SECTORS * SECTOR);
  for (const [at, sector] of Object.entries(sectors)) sector.copy(bytes, Number(at) * SECTOR);
  return bytes;
}

const find = (bytes: Buffer, number: number) => findPartition(new StrictDevice(bytes), number);
const linux = (start: number, sectors: number): MbrEntry => ({
  start: BigInt(start),
  sectors: BigInt(sectors),
  type: 0x83,
});
const extended = (start: number, sectors: number) => ({ ...linux(start, sectors), type: 5 });

test('primary and logical partitions of an MBR', async () => {
  const bytes = disk({
    0: mbrSector([linux(10, 20), extended(50, 100)]),
    50: mbrSector([linux(1, 9), extended(30, 20)]),
    80: mbrSector([linux(2, 5)]),
  });
  assert.deepEqual(await find(bytes, 1), { kind: 'MBR', start: 5120n, size: 10240n });
  assert.deepEqual(await find(bytes, 5), { kind: 'MBR', start: 51n * 512n, size: 9n * 512n });
  assert.deepEqual(await find(bytes, 6), { kind: 'MBR', start: 82n * 512n, size: 5n * 512n });
  for (const number of [2, 3, 4, 7]) {
    await assert.rejects(find(bytes, number), { message: `MBR partition ${number} not found` });
  }
});

test('chains of logical partitions that lead nowhere', async () => {
  const chain = (next: MbrEntry) =>
    disk({ 0: mbrSector([extended(50, 100)]), 50: mbrSector([linux(1, 9), next]) });
  await assert.rejects(find(chain(extended(0, 20)), 6), {
    message: /next EBR 50 <= current EBR 50/,
  });
  await assert.rejects(find(chain(extended(500, 1)), 6), { message: /outside disk boundary/ });
  const past = disk({ 0: mbrSector([extended(50, 100)]), 50: mbrSector([linux(1, 100)]) });
  await assert.rejects(find(past, 5), { message: /out of range/ });
  const none = disk({ 0: mbrSector([linux(1, 9)]) });
  await assert.rejects(find(none, 5), { message: /there is no extended partition/ });
});

test('partitions of a GPT', async () => {
  const guid = '0FC63DAF-8483-4772-8E79-3D69D8477DE5';
  const partition = { start: 40n, sectors: 10n, type: LINUX_FILESYSTEM, guid, name: 'one' };
  const { primary } = gptTables([partition], BigInt(SECTORS), guid);
  const bytes = disk({ 0: primary });
  assert.deepEqual(await find(bytes, 1), { kind: 'GPT', start: 40n * 512n, size: 5120n });
  await assert.rejects(find(bytes, 2), { message: 'GPT partition 2 not found' });
  await assert.rejects(find(bytes, 129), { message: /number out of range: there are 128/ });
  bytes.writeUInt32LE(64, 512 + 84);
  await assert.rejects(find(bytes, 1), { message: /entry size is < 128 bytes/ });
  bytes.writeUInt32LE(0xffffffff, 512 + 84);
  await assert.rejects(find(bytes, 1), { message: /too large for this disk/ });
});

test('disks without a table, and partitions that are not on the disk', async () => {
  await assert.rejects(find(Buffer.alloc(1000), 1), { message: /too small/ });
  await assert.rejects(find(disk({}), 1), { message: /does not contain MBR or GPT/ });
  const long = disk({ 0: mbrSector([linux(10, 2000)]) });
  await assert.rejects(find(long, 1), { errno: 'EIO', message: 'partition is outside the disk' });
});
