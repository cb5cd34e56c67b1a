import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StrictDevice } from '../../../test/peer/strict-device.ts';
import { gptTables, LINUX_FILESYSTEM } from './gpt.ts';
import { listPartitions } from './list.ts';
import { type MbrEntry, mbrSector, SECTOR } from './mbr.ts';

const SECTORS = 200;

function disk(sectors: Readonly<Record<number, Buffer>>): Buffer {
  const bytes = Buffer.alloc(SECTORS * SECTOR);
  for (const [at, sector] of Object.entries(sectors)) sector.copy(bytes, Number(at) * SECTOR);
  return bytes;
}

/** Number, first sector and sectors of each. */
const list = async (bytes: Buffer) =>
  (await listPartitions(new StrictDevice(bytes))).map(
    ({ kind, number, start, size }) => `${kind} ${number} ${start / 512n} ${size / 512n}`,
  );

const entry = (start: number, sectors: number, type = 0x83): MbrEntry => ({
  start: BigInt(start),
  sectors: BigInt(sectors),
  type,
});

test('an MBR with logical partitions', async () => {
  const bytes = disk({
    0: mbrSector([entry(10, 20), entry(50, 100, 5), entry(0, 0, 0), entry(180, 500)]),
    50: mbrSector([entry(1, 9), entry(30, 20, 5)]),
    80: mbrSector([entry(2, 5), entry(0, 0, 0)]),
  });
  assert.deepEqual(await list(bytes), [
    'MBR 1 10 20',
    'MBR 2 50 100',
    'MBR 4 180 20',
    'MBR 5 51 9',
    'MBR 6 82 5',
  ]);
});

test('a chain that leads back ends there', async () => {
  const bytes = disk({
    0: mbrSector([entry(50, 100, 5)]),
    50: mbrSector([entry(1, 9), entry(10, 20, 5)]),
    60: mbrSector([entry(1, 3), entry(0, 20, 5)]),
  });
  assert.deepEqual(await list(bytes), ['MBR 1 50 100', 'MBR 5 51 9', 'MBR 6 61 3']);
});

test('a GPT, and its copy where the first is damaged', async () => {
  const guid = '0FC63DAF-8483-4772-8E79-3D69D8477DE5';
  const partition = { start: 40n, sectors: 10n, type: LINUX_FILESYSTEM, guid, name: 'one' };
  const { primary, backup } = gptTables([partition], BigInt(SECTORS), guid);
  const bytes = disk({ 0: primary });
  backup.copy(bytes, bytes.length - backup.length);
  assert.deepEqual(await list(bytes), ['GPT 1 40 10']);
  bytes[512 + 20] = 77;
  assert.deepEqual(await list(bytes), ['GPT 1 40 10'], 'the copy');
  bytes[bytes.length - 512 + 20] = 77;
  assert.deepEqual(await list(bytes), ['MBR 1 1 199'], 'only what protects it');
});

test('no table', async () => {
  assert.deepEqual(await list(Buffer.alloc(SECTORS * SECTOR)), []);
  assert.deepEqual(await list(Buffer.alloc(100)), []);
  const code = disk({ 0: mbrSector([entry(10, 20)]) });
  code[446] = 0x33;
  assert.deepEqual(await list(code), []);
});
