import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  GrowingMemory,
  makeImage,
  makeImageFile,
  openImageFile,
} from '../../../test/peer/images.ts';
import { temporaryFolder } from '../../../test/peer/wire.ts';
import { readBytes } from '../../testing/model.ts';
import { openImage } from '../open-image.ts';
import { guid, guidText, MIB, NO_GUID, sign } from './structures.ts';

const KIB = 1024;
const [BAT, METADATA] = [2 * MIB, 3 * MIB];
const ITEMS = METADATA + 64 * KIB;

async function image(options = '', size = 8n << 20n): Promise<GrowingMemory> {
  const file = new GrowingMemory(Buffer.alloc(0));
  await makeImage(file, 'vhdx', size, `block_size=1048576,${options}`.replace(/,$/, ''));
  return file;
}

async function open(file: GrowingMemory, readOnly = false) {
  return (await openImage({ device: file }, { format: 'vhdx', readOnly })).device;
}

const headerOf = ({ bytes }: GrowingMemory) => {
  const [a, b] = [64 * KIB, 128 * KIB].map(at => bytes.subarray(at, at + 4096));
  return a!.readBigUInt64LE(8) > b!.readBigUInt64LE(8) ? a! : b!;
};

test('blocks are appended, and the headers say before that something changes', async () => {
  const file = await image();
  const before = Buffer.from(headerOf(file));
  const device = await open(file);
  await device.flush!();
  assert.ok(headerOf(file).equals(before));
  await device.write!(BigInt(5 * MIB + 7), Buffer.from('five'));
  const after = Buffer.from(headerOf(file));
  assert.equal(after.readBigUInt64LE(8), before.readBigUInt64LE(8) + 2n);
  assert.ok(!after.subarray(16, 48).equals(before.subarray(16, 48)));
  await device.write!(0n, Buffer.from('zero'));
  await device.close!();
  assert.ok(headerOf(file).equals(after));
  assert.equal(file.bytes.length, 6 * MIB);
  assert.equal(file.bytes.readBigUInt64LE(BAT + 5 * 8), (4n << 20n) | 6n);
  assert.equal(file.bytes.readBigUInt64LE(BAT), (5n << 20n) | 6n);
  assert.equal(file.bytes.readBigUInt64LE(BAT + 8), 2n);
  const again = await open(file, true);
  assert.equal((await readBytes(again, BigInt(5 * MIB + 7), 4)).toString(), 'five');
});

test('of headers and of tables of regions one is enough', async () => {
  const file = await image();
  const good = Buffer.from(file.bytes);
  for (const at of [64, 128, 192, 256]) {
    good.copy(file.bytes);
    file.bytes[at * KIB + 50]! ^= 1;
    await open(file, true);
  }
  for (const [one, other, message] of [
    [64, 128, /both headers are damaged/],
    [192, 256, /both tables of the regions are damaged/],
  ] as const) {
    good.copy(file.bytes);
    for (const at of [one, other]) file.bytes[at * KIB + 50]! ^= 1;
    await assert.rejects(open(file, true), { message });
  }
});

const LOG_GUID = guid('01234567-89AB-CDEF-0123-456789ABCDEF');

/** An entry of the log with pages for the file. */
function logEntry(
  sequence: number,
  tail: number,
  pages: readonly (readonly [at: number, page: Buffer])[],
  sizes: { flushed?: number; last?: number } = {},
): Buffer {
  const bytes = Buffer.alloc(4096 * (1 + pages.length));
  bytes.write('loge');
  bytes.writeUInt32LE(bytes.length, 8);
  bytes.writeUInt32LE(tail, 12);
  bytes.writeBigUInt64LE(BigInt(sequence), 16);
  bytes.writeUInt32LE(pages.length, 24);
  LOG_GUID.copy(bytes, 32);
  bytes.writeBigUInt64LE(BigInt(sizes.flushed ?? 0), 48);
  bytes.writeBigUInt64LE(BigInt(sizes.last ?? 0), 56);
  for (const [index, [at, page]] of pages.entries()) {
    const descriptor = 64 + index * 32;
    bytes.write('desc', descriptor);
    page.copy(bytes, descriptor + 4, 4092);
    page.copy(bytes, descriptor + 8, 0, 8);
    bytes.writeBigUInt64LE(BigInt(at), descriptor + 16);
    bytes.writeBigUInt64LE(BigInt(sequence), descriptor + 24);
    const data = 4096 * (1 + index);
    bytes.write('data', data);
    page.copy(bytes, data + 8, 8, 4092);
    bytes.writeUInt32LE(sequence, data + 4092);
  }
  return sign(bytes);
}

/** An image whose table is in the log only, and which was not closed. */
async function dirty(entries: (bat: Buffer) => readonly (readonly [at: number, entry: Buffer])[]) {
  const file = await image();
  const device = await open(file);
  await device.write!(BigInt(MIB), Buffer.from('only in the log'));
  await device.close!();
  const bat = Buffer.from(file.bytes.subarray(BAT, BAT + 4096));
  file.bytes.fill(0, BAT, BAT + 4096);
  for (const at of [64 * KIB, 128 * KIB]) {
    LOG_GUID.copy(file.bytes, at + 48);
    sign(file.bytes.subarray(at, at + 4096));
  }
  for (const [at, entry] of entries(bat)) {
    for (let done = 0; done < entry.length; done += 4096) {
      entry.copy(file.bytes, MIB + ((at + done) % MIB), done, done + 4096);
    }
  }
  return file;
}

const LOGGED = async (file: GrowingMemory, readOnly: boolean) =>
  (await readBytes(await open(file, readOnly), BigInt(MIB), 15)).toString();

test('the log is replayed: in memory for reading, and in the file for writing', async () => {
  const rubbish = Buffer.alloc(4096, 0xee);
  for (const entries of [
    (bat: Buffer) => [[0, logEntry(7, 0, [[BAT, bat]])] as const],
    // The newest entry counts, and its sequence may go around the end of the ring.
    (bat: Buffer) => [
      [MIB - 12288, logEntry(8, MIB - 12288, [[BAT, rubbish]])] as const,
      [MIB - 4096, logEntry(9, MIB - 12288, [[BAT, bat]])] as const,
      [65536, logEntry(3, 65536, [[BAT, rubbish]])] as const,
    ],
  ]) {
    const file = await dirty(entries);
    const before = Buffer.from(file.bytes);
    assert.equal(await LOGGED(file, true), 'only in the log');
    assert.ok(file.bytes.equals(before));
    assert.equal(await LOGGED(file, false), 'only in the log');
    assert.ok(headerOf(file).subarray(48, 64).equals(NO_GUID));
    assert.equal(await LOGGED(file, true), 'only in the log');
  }
});

test('entries of the log that are damaged, or not complete, are not replayed', async () => {
  const nothing = '\0'.repeat(15);
  for (const damage of [
    (entry: Buffer) => void entry.writeUInt8(1, 5000),
    (entry: Buffer) => void sign(entry).writeUInt32LE(0, 4),
    (entry: Buffer) => entry.writeUInt32LE(0xffff_ffff, 24) && sign(entry),
    (entry: Buffer) => entry.writeUInt32LE(0xffff_f000, 8) && sign(entry),
    (entry: Buffer) => entry.writeUInt32LE(8192, 12) && sign(entry),
    (entry: Buffer) => entry.writeUInt32LE(1, 12) && sign(entry),
    (entry: Buffer) => entry.writeUInt32LE(9, 4096 + 4092) && sign(entry),
    (entry: Buffer) => entry.write('what', 64) && sign(entry),
    (entry: Buffer) => entry.writeUInt8(1, 33) && sign(entry),
    (entry: Buffer) => entry.writeUInt32LE(1, 64 + 16) && sign(entry),
  ]) {
    const file = await dirty(bat => {
      const entry = logEntry(7, 0, [[BAT, bat]]);
      damage(entry);
      return [[0, entry]];
    });
    assert.equal(await LOGGED(file, true), nothing);
  }
});

test('a log that tells of more than the file has is refused', async () => {
  for (const [sizes, at, message] of [
    [{ flushed: 1 << 30 }, BAT, /the file has \d+ bytes, the log tells of/],
    [{}, 1 << 30, /the log changes the file beyond its end/],
  ] as const) {
    const file = await dirty(bat => [[0, logEntry(7, 0, [[at, bat]], sizes)]]);
    await assert.rejects(open(file, true), { message });
    await assert.rejects(open(file), { message });
  }
});

test('sectors of 4096 bytes change where the bits are', async () => {
  const file = await image();
  file.bytes.writeUInt32LE(4096, ITEMS + 32);
  const device = await open(file);
  await device.write!(3n, Buffer.from('hello'));
  assert.equal((await readBytes(device, 3n, 5)).toString(), 'hello');
});

/** Makes a disk one over another: its metadata, and a table with places for bits. */
function over(bytes: Buffer, pairs: Readonly<Record<string, string>>): void {
  bytes.writeUInt32LE(2, ITEMS + 4);
  const entries = Object.entries(pairs).map(pair => pair.map(text => Buffer.from(text, 'utf16le')));
  const locator = Buffer.alloc(4096);
  locator.writeUInt16LE(entries.length, 18);
  let end = 20 + entries.length * 12;
  for (const [index, [key, value]] of entries.entries()) {
    const at = 20 + index * 12;
    locator.writeUInt32LE(end, at);
    locator.writeUInt32LE(end + key!.length, at + 4);
    locator.writeUInt16LE(key!.length, at + 8);
    locator.writeUInt16LE(value!.length, at + 10);
    Buffer.concat([key!, value!]).copy(locator, end);
    end += key!.length + value!.length;
  }
  locator.copy(bytes, ITEMS + 8192);
  const count = bytes.readUInt16LE(METADATA + 10);
  const entry = METADATA + 32 + count * 32;
  guid('A8D35F2D-B30B-454D-ABF7-D3D84834AB0C').copy(bytes, entry);
  bytes.writeUInt32LE(64 * KIB + 8192, entry + 16);
  bytes.writeUInt32LE(4096, entry + 20);
  bytes.writeUInt32LE(4, entry + 24);
  bytes.writeUInt16LE(count + 1, METADATA + 10);
}

test('a differencing disk shows the one that it was made over, sector by sector', async t => {
  const folder = temporaryFolder(t);
  const [parent, child] = ['parent.vhdx', 'child.vhdx'].map(name => join(folder, name));
  await makeImageFile(parent!, 'vhdx', 8n << 20n, 'block_size=1048576');
  const below = (await openImageFile(parent!)).device;
  await below.write!(0n, Buffer.alloc(2 * MIB, 1));
  await below.close!();
  const words = 'block_size=1048576,block_state_zero=off';
  await makeImageFile(child!, 'vhdx', 8n << 20n, words);
  const bytes = Buffer.concat([readFileSync(child!), Buffer.alloc(2 * MIB)]);
  const link = guidText(headerOf(new GrowingMemory(readFileSync(parent!))).subarray(32, 48));
  over(bytes, { parent_linkage: `{${link.toUpperCase()}}`, relative_path: '.\\parent.vhdx' });
  // The first block has its odd sectors here.
  bytes.writeBigUInt64LE((4n << 20n) | 7n, BAT);
  bytes.writeBigUInt64LE((5n << 20n) | 6n, BAT + 4096 * 8);
  bytes.fill(2, 4 * MIB, 5 * MIB);
  bytes.fill(0xaa, 5 * MIB, 5 * MIB + 256);
  writeFileSync(child!, bytes);
  const device = (await openImageFile(child!)).device;
  const read = await readBytes(device, 0n, 4096);
  for (const [at, byte] of read.entries()) assert.equal(byte, Math.floor(at / 512) % 2 ? 2 : 1);
  await device.write!(100n, Buffer.from('here'));
  await device.write!(BigInt(MIB + 5), Buffer.from('there'));
  await device.close!();
  const again = (await openImageFile(child!, undefined, true)).device;
  assert.equal((await readBytes(again, 99n, 6)).toString('latin1'), '\x01here\x01');
  assert.equal((await readBytes(again, 1024n, 1))[0], 1);
  assert.equal((await readBytes(again, 512n, 1))[0], 2);
  assert.equal((await readBytes(again, BigInt(MIB + 4), 7)).toString('latin1'), '\x01there\x01');
  await again.close!();
  const changed = (await openImageFile(parent!)).device;
  await changed.write!(0n, Buffer.from('x'));
  await changed.close!();
  await assert.rejects(openImageFile(child!), { message: /not the disk that this one was made/ });
});

const put32 = (at: number, value: number) => (bytes: Buffer) => void bytes.writeUInt32LE(value, at);
const put64 = (at: number, value: bigint) => (bytes: Buffer) =>
  void bytes.writeBigUInt64LE(value, at);
const REGION = 192 * KIB;

const WRONG: readonly (readonly [what: string, (bytes: Buffer) => void, message: RegExp])[] = [
  ['signature', put32(0, 1), /no VHDX image/],
  ['version', bytes => void bytes.writeUInt16LE(2, 64 * KIB + 66), /version 2 is not supported/],
  ['log', put32(64 * KIB + 68, 1000), /a log of 1000 bytes/],
  ['log far away', put64(64 * KIB + 72, 2n ** 63n), /a log of 1048576 bytes at/],
  ['log over the table', put64(64 * KIB + 72, BigInt(BAT)), /lies over the one at 2097152/],
  ['regions', put32(REGION + 8, 2048), /2048 regions/],
  ['no regions', put32(REGION + 8, 0), /are missing/],
  ['unknown region', put32(REGION + 16, 1), /region .* is not supported/],
  ['region over the header', put64(REGION + 32, 0n), /lies over the one at 0/],
  ['region between', put64(REGION + 32, 5n), /a region of/],
  ['region of nothing', put32(REGION + 40, 0), /a region of 0 bytes/],
  ['metadata', put32(METADATA, 1), /the metadata is missing/],
  ['items', bytes => void bytes.writeUInt16LE(2048, METADATA + 10), /2048 items/],
  ['no items', bytes => void bytes.writeUInt16LE(0, METADATA + 10), /lacks its parameters/],
  ['unknown item', put32(METADATA + 32, 1), /metadata .* is not supported/],
  ['item in the table', put32(METADATA + 32 + 16, 0), /metadata of 8 bytes at 0/],
  ['item beyond', put32(METADATA + 32 + 16, 0xffff_ffff), /metadata of 8 bytes at/],
  ['block 0', put32(ITEMS, 0), /blocks of 0 bytes/],
  ['block', put32(ITEMS, 1 << 30), /blocks of 1073741824 bytes/],
  ['odd block', put32(ITEMS, 3 << 20), /blocks of 3145728 bytes/],
  ['parent', put32(ITEMS + 4, 2), /the parent is told nowhere/],
  ['size', put64(ITEMS + 8, 2n ** 63n), /a disk of/],
  ['odd size', put64(ITEMS + 8, 1000n), /a disk of 1000 bytes/],
  ['large size', put64(ITEMS + 8, 1n << 40n), /the table is too small/],
  ['sector', put32(ITEMS + 32, 1024), /sectors of 1024 bytes/],
  ['block beyond', put64(BAT, (1n << 50n) | 6n), /blocks lie beyond the file/],
];

test('structures with wrong fields are refused with words', async () => {
  const good = (await image()).bytes;
  for (const [what, damage, message] of WRONG) {
    const bytes = Buffer.from(good);
    // Of each pair of structures the first one counts here.
    bytes.writeBigUInt64LE(9n, 64 * KIB + 8);
    damage(bytes);
    sign(bytes.subarray(64 * KIB, 68 * KIB));
    sign(bytes.subarray(REGION, REGION + 64 * KIB));
    await assert.rejects(open(new GrowingMemory(bytes)), { name: 'BlockError', message }, what);
  }
  for (const [entry, message] of [
    [4n, /a block in the state 4/],
    [6n, /a block lies over the header/],
    [(1n << 50n) | 6n, /a block lies beyond the file/],
    [(3n << 20n) | 7n, /the bits of a block are missing/],
  ] as const) {
    const bytes = Buffer.from(good);
    bytes.writeBigUInt64LE(entry, BAT);
    const device = await open(new GrowingMemory(bytes), true);
    await assert.rejects(async () => device.read(0n, 512), { errno: 'EIO', message });
  }
  for (const length of [0, 8, 70_000, 200_000, MIB, 3 * MIB]) {
    const cut = new GrowingMemory(good.subarray(0, length));
    await assert.rejects(open(cut), { name: 'BlockError' }, `${length} bytes`);
  }
});

test('options that make no sense are refused', async () => {
  for (const [options, message] of [
    ['block_size=1000', /multiple of 1 MB/],
    ['block_size=3145728', /power of two/],
    ['block_size=536870912', /must not exceed 256 MB/],
    ['log_size=1000', /Log size/],
  ] as const) {
    const file = new GrowingMemory(Buffer.alloc(0));
    await assert.rejects(makeImage(file, 'vhdx', 1n << 20n, options), { message });
  }
  const file = new GrowingMemory(Buffer.alloc(0));
  await assert.rejects(makeImage(file, 'vhdx', 1n << 47n), { message: /max of 64TB/ });
});

test('a table beyond the end of the file is refused, for reading, too', async () => {
  const file = await image();
  for (const at of [192 * KIB, 256 * KIB]) {
    const regions = file.bytes.subarray(at, at + 64 * KIB);
    regions.writeBigUInt64LE(BigInt(64 * MIB), 32);
    sign(regions);
  }
  for (const readOnly of [true, false]) {
    await assert.rejects(open(file, readOnly), { message: 'vhdx: the table lies beyond the file' });
  }
});
