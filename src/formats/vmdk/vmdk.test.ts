import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  GrowingMemory,
  makeImage,
  makeImageFile,
  openImageFile,
  scribble,
} from '../../../test/peer/images.ts';
import { temporaryFolder } from '../../../test/peer/wire.ts';
import { Random, readBytes } from '../../testing/model.ts';
import { openImage } from '../open-image.ts';
import { parseDescriptor } from './descriptor.ts';

const GRAIN = 65536;
const SIZE = 2 << 20;

async function image(options = ''): Promise<GrowingMemory> {
  const file = new GrowingMemory(Buffer.alloc(0));
  await makeImage(file, 'vmdk', BigInt(SIZE), options);
  return file;
}

async function open(file: GrowingMemory, readOnly = false) {
  return (await openImage({ device: file }, { format: 'vmdk', readOnly })).device;
}

const cidOf = (file: GrowingMemory) => parseDescriptor(file.bytes.subarray(512, 20 * 512)).cid;

test('grains are appended, and both tables lead to them; the identity changes once', async () => {
  const file = await image();
  assert.equal(file.bytes.length, 65536);
  const before = cidOf(file);
  const device = await open(file);
  await device.flush!();
  assert.equal(cidOf(file), before);
  await device.write!(BigInt(3 * GRAIN + 5), Buffer.from('three'));
  const after = cidOf(file);
  assert.notEqual(after, before);
  await device.write!(0n, Buffer.from('zero'));
  await device.close!();
  assert.equal(cidOf(file), after);
  assert.equal(file.bytes.length, 65536 + 2 * GRAIN);
  for (const directory of [21, 26]) {
    const table = file.bytes.readUInt32LE(directory * 512) * 512;
    assert.equal(file.bytes.readUInt32LE(table + 3 * 4), 128);
    assert.equal(file.bytes.readUInt32LE(table), 256);
  }
});

test('grains that are said to be zeroes', async () => {
  const file = await image('zeroed_grain=on');
  const device = await open(file);
  await device.write!(0n, Buffer.alloc(2 * GRAIN, 7));
  await device.zero!(0n, GRAIN, { fastZero: true });
  await device.close!();
  const again = await open(file);
  assert.ok((await readBytes(again, 0n, GRAIN)).every(byte => byte === 0));
  assert.ok((await readBytes(again, BigInt(GRAIN), GRAIN)).every(byte => byte === 7));
});

/** A compressed disk with text and random bytes in it. */
async function packed() {
  const file = await image('subformat=streamOptimized');
  const device = await open(file);
  const content = Buffer.alloc(SIZE);
  new Random(5).bytes(GRAIN).copy(content, GRAIN);
  content.fill('text ', 5 * GRAIN, 6 * GRAIN + 100);
  await device.write!(BigInt(GRAIN), content.subarray(GRAIN, 2 * GRAIN));
  await device.write!(BigInt(4 * GRAIN), content.subarray(4 * GRAIN, 8 * GRAIN));
  await device.close!();
  return { file, content };
}

test('compressed grains are written once, and zeroes are left out', async () => {
  const { file, content } = await packed();
  assert.ok(file.bytes.length < 65536 + 1.2 * GRAIN);
  const device = await open(file);
  assert.ok((await readBytes(device, 0n, SIZE)).equals(content));
  await assert.rejects(async () => device.write!(BigInt(GRAIN), content.subarray(0, 2 * GRAIN)), {
    message: /cannot be written once more/,
  });
});

test('the directory may be in a footer, as others write it', async () => {
  const { file, content } = await packed();
  const { bytes } = file;
  const footer = Buffer.from(bytes.subarray(0, 512));
  bytes.fill(0xff, 56, 64);
  const marker = Buffer.alloc(512);
  marker.writeUInt32LE(3, 12);
  const streamed = new GrowingMemory(Buffer.concat([bytes, marker, footer, Buffer.alloc(512)]));
  assert.ok((await readBytes(await open(streamed, true), 0n, SIZE)).equals(content));
  const cut = new GrowingMemory(bytes);
  await assert.rejects(open(cut, true), { message: /the footer is missing/ });
});

test('compressed grains that are damaged, or longer than they may be', async () => {
  const { file } = await packed();
  const good = Buffer.from(file.bytes);
  const at = good.readUInt32LE(good.readUInt32LE(26 * 512) * 512 + 4) * 512;
  for (const damage of [
    (bytes: Buffer) => void bytes.writeUInt32LE(0xffff_ffff, at + 8),
    (bytes: Buffer) => void bytes.writeUInt32LE(10, at + 8),
    (bytes: Buffer) => void bytes.writeUInt8(bytes[at + 1000]! ^ 1, at + 1000),
    (bytes: Buffer) => void bytes.fill(0, at, at + 100),
  ]) {
    const bytes = Buffer.from(good);
    damage(bytes);
    const device = await open(new GrowingMemory(bytes), true);
    await assert.rejects(async () => device.read(BigInt(GRAIN), 512), {
      errno: 'EIO',
      message: /a compressed grain at \d+ cannot be read/,
    });
  }
});

test('disks in several files', async t => {
  const folder = temporaryFolder(t);
  for (const [subformat, files] of [
    ['monolithicFlat', ['a-flat.vmdk', 'a.vmdk']],
    ['twoGbMaxExtentSparse', ['a-s001.vmdk', 'a-s002.vmdk', 'a-s003.vmdk', 'a.vmdk']],
    ['twoGbMaxExtentFlat', ['a-f001.vmdk', 'a-f002.vmdk', 'a-f003.vmdk', 'a.vmdk']],
  ] as const) {
    const inner = join(folder, subformat);
    const { mkdirSync } = await import('node:fs');
    mkdirSync(inner);
    const path = join(inner, 'a.vmdk');
    await makeImageFile(path, 'vmdk', 5n << 30n, `subformat=${subformat}`);
    assert.deepEqual(readdirSync(inner).sort(), files);
    const { device } = await openImageFile(path);
    assert.equal(device.size, 5n << 30n);
    const border = (2n << 30n) - 10n;
    await device.write!(border, Buffer.from('over the border of two'));
    await device.close!();
    const again = (await openImageFile(path, undefined, true)).device;
    assert.equal((await readBytes(again, border, 22)).toString(), 'over the border of two');
    await again.close!();
  }
});

test('a disk over another one, which must not have changed', async t => {
  const folder = temporaryFolder(t);
  const [base, child] = ['base.vmdk', 'child.vmdk'].map(name => join(folder, name));
  const content = Buffer.alloc(SIZE);
  await makeImageFile(base!, 'vmdk', BigInt(SIZE));
  const below = (await openImageFile(base!)).device;
  await scribble(below, content, { count: 10 });
  await below.close!();
  await makeImageFile(child!, 'vmdk', BigInt(SIZE), 'backing_file=base.vmdk');
  const device = (await openImageFile(child!)).device;
  await scribble(device, content, { count: 10, random: new Random(2) });
  await device.close!();
  const again = (await openImageFile(child!, undefined, true)).device;
  assert.ok((await readBytes(again, 0n, SIZE)).equals(content));
  await again.close!();
  const changed = (await openImageFile(base!)).device;
  await changed.write!(0n, Buffer.from('x'));
  await changed.close!();
  await assert.rejects(openImageFile(child!), { message: /'base.vmdk' was changed since/ });
});

/** Descriptors of whole disks, and what is wrong with them. */
const TEXTS: readonly (readonly [lines: string, message: RegExp])[] = [
  ['', /without extents/],
  ['RW 8 FLAT "/etc/passwd" 0', /it lies in another folder/],
  ['RW 8 FLAT "../x" 0', /it lies in another folder/],
  ['RW 8 FLAT "nbd://host/x" 0', /images may name files only/],
  ['RW 8 FLAT "json:{}" 0', /images may name files only/],
  ['RW 8 FLAT "none" 0', /no such file/],
  ['RW 8 FLAT "data"', /Invalid extent line/],
  ['RW 8 FLAT', /Invalid extent line/],
  ['RW 8 VMFS "data" 1', /Invalid extent line: RW 8 VMFS "data" 1/],
  ['RW x FLAT "data" 0', /Invalid extent line/],
  ['RW 9999999999999999 FLAT "data" 0', /Invalid extent line/],
  ['RW 8 FLAT "data" 9999999999999999', /Invalid extent line/],
  ['RW 8 FLAT "data" 1', /a flat extent ends at byte 4608, its file at 4096/],
  ['RW 9 FLAT "data" 0', /a flat extent ends at byte 4608/],
  ['RW 8 VMFSRDM "data"', /Unsupported extent type 'VMFSRDM'/],
  ['RW 8 SESPARSE "data"', /no seSparse one/],
  ['NOACCESS 8 FLAT "data" 0', /extents without access/],
  ['RW 8 SPARSE "data"', /'data' is no sparse extent/],
  ['RW 8 SPARSE "a.vmdk"', /'a.vmdk' is no sparse extent/],
  ['CID=xyz\nRW 8 FLAT "data" 0', /CID: 'xyz' is no number/],
  ['parentCID=1\nparentFileNameHint="/etc/passwd"\nRW 8 FLAT "data" 0', /another folder/],
];

test('descriptors that name what they must not, or make no sense', async t => {
  const folder = temporaryFolder(t);
  const path = join(folder, 'a.vmdk');
  writeFileSync(join(folder, 'data'), Buffer.alloc(4096, 7));
  const write = (lines: string) => writeFileSync(path, `# Disk DescriptorFile\n${lines}\n`);
  for (const [lines, message] of TEXTS) {
    write(lines);
    await assert.rejects(openImageFile(path, 'vmdk'), { name: 'BlockError', message }, lines);
  }
  write(
    '  ENCODING="UTF-8"\r\ncreatetype = "monolithicFlat"\r\n  RW 8 FLAT "data" 0 extra words\r',
  );
  const { device } = await openImageFile(path);
  assert.equal((await readBytes(device, 0n, 4096))[4095], 7);
  await device.close!();
  write('RDONLY 4 FLAT "data" 0\nRW 4 ZERO\nRW 4 FLAT "data" 4');
  const joined = (await openImageFile(path)).device;
  assert.equal(joined.size, 6144n);
  assert.equal(joined.write, undefined);
  assert.equal((await readBytes(joined, 2047n, 2)).toString('hex'), '0700');
  await joined.close!();
});

test('what is only looked at opens no other file', async t => {
  const folder = temporaryFolder(t);
  const path = join(folder, 'a.vmdk');
  writeFileSync(path, '# Disk DescriptorFile\nRW 8 FLAT "/etc/passwd" 0\n');
  const file = new GrowingMemory(readFileSync(path));
  const { device } = await openImage(
    { device: file },
    { format: 'vmdk', readOnly: true, alone: true },
  );
  assert.equal(device.size, 4096n);
});

const put32 = (at: number, value: number) => (bytes: Buffer) => void bytes.writeUInt32LE(value, at);
const put64 = (at: number, value: bigint) => (bytes: Buffer) =>
  void bytes.writeBigUInt64LE(value, at);
const FAR = 2n ** 63n;

const WRONG: readonly (readonly [what: string, (bytes: Buffer) => void, message: RegExp])[] = [
  ['magic', put32(0, 1), /the descriptor does not begin as one|a descriptor of/],
  ['version', put32(4, 4), /Unsupported VMDK version 4/],
  ['newlines', put32(73, 0x0a0a0a0a), /damaged by a transfer as text/],
  ['capacity', put64(12, FAR), /L1 size too big/],
  ['large capacity', put64(12, 2n ** 40n), /L1 size too big/],
  ['grain 0', put64(20, 0n), /grains of 0 bytes/],
  ['odd grain', put64(20, 100n), /grains of 51200 bytes/],
  ['large grain', put64(20, FAR), /the header tells of sector/],
  ['descriptor far away', put64(28, FAR), /the header tells of sector/],
  ['long descriptor', put64(36, 2n ** 30n), /a descriptor of/],
  ['no descriptor', put64(28, 60n), /does not begin as one/],
  ['entries', put32(44, 0), /tables of 0 entries/],
  ['many entries', put32(44, 0xffff_ffff), /tables of 4294967295 entries/],
  ['second directory', put64(48, FAR), /the header tells of sector/],
  ['second directory beyond', put64(48, 2n ** 40n), /the file is cut short/],
  ['directory', put64(56, 0n), /the directory is at byte 0/],
  ['directory beyond', put64(56, 2n ** 40n), /the file is cut short/],
  ['footer', put64(56, 2n ** 64n - 1n), /the footer is missing/],
  ['data beyond', put64(64, 2n ** 40n), /File truncated, expecting at least/],
];

test('headers with wrong fields are refused with words', async () => {
  const good = (await image()).bytes;
  for (const [what, damage, message] of WRONG) {
    const bytes = Buffer.from(good);
    damage(bytes);
    await assert.rejects(open(new GrowingMemory(bytes)), { name: 'BlockError', message }, what);
  }
  for (const length of [0, 4, 511, 512, 4096]) {
    const cut = new GrowingMemory(good.subarray(0, length));
    await assert.rejects(open(cut), { name: 'BlockError' }, `${length} bytes`);
  }
});

/** An extent of ESX with a table, and grains that are there, zeroes, unmapped and absent. */
function seSparse(): Buffer {
  const sectors = (count: number) => count * 512;
  const bytes = Buffer.alloc(sectors(200));
  const words: readonly (readonly [at: number, value: bigint])[] = [
    [0, 0xcafebaben],
    [8, 0x200000001n],
    [16, 64n],
    [24, 8n],
    [32, 64n],
    [80, 1n],
    [128, 2n],
    [144, 4n],
    [192, 72n],
    [sectors(1), 0xcafecafen],
    [sectors(2), 0x1000000000000000n],
    [sectors(4), 0x3002000000000000n],
    [sectors(4) + 8, 0x2000000000000000n],
    [sectors(4) + 16, 0x1000000000000000n],
  ];
  for (const [at, value] of words) bytes.writeBigUInt64LE(value, at);
  bytes.fill(7, sectors(72 + 16), sectors(72 + 24));
  return bytes;
}

test('seSparse extents are read', async t => {
  const folder = temporaryFolder(t);
  const [path, extent] = ['a.vmdk', 'a-sesparse.vmdk'].map(name => join(folder, name));
  writeFileSync(path!, '# Disk DescriptorFile\nRW 64 SESPARSE "a-sesparse.vmdk"\n');
  const good = seSparse();
  writeFileSync(extent!, good);
  const { device } = await openImageFile(path!);
  assert.equal(device.write, undefined);
  const read = await readBytes(device, 0n, 32_768);
  for (const [at, byte] of read.entries()) assert.equal(byte, at < 4096 ? 7 : 0);
  await device.close!();
  for (const [at, value, message] of [
    [8, 1n, /Unsupported version of seSparse/],
    [24, 16n, /Unsupported grain size: 16/],
    [32, 1n, /Unsupported grain table size: 1/],
    [16, 8n, /the extent has 4096 bytes/],
    [128, 2n ** 63n, /the header tells of sector/],
    [128, 2n ** 40n, /the file is cut short/],
    [512, 0n, /the second header is damaged/],
    [512 + 24, 1n, /Image is dirty/],
  ] as const) {
    const bytes = Buffer.from(good);
    bytes.writeBigUInt64LE(value, at);
    writeFileSync(extent!, bytes);
    await assert.rejects(openImageFile(path!), { name: 'BlockError', message });
  }
  for (const [at, value, message] of [
    [1024, 5n, /the directory is damaged/],
    [2048, 5n, /a grain of the kind 0/],
    [2048, 0x4000000000000000n, /a grain of the kind 4/],
    [2048, 0x3fffffffffffffffn, /lies beyond the file/],
  ] as const) {
    const bytes = Buffer.from(good);
    bytes.writeBigUInt64LE(value, at);
    writeFileSync(extent!, bytes);
    const broken = (await openImageFile(path!)).device;
    await assert.rejects(async () => broken.read(0n, 512), { errno: 'EIO', message });
    await broken.close!();
  }
});
