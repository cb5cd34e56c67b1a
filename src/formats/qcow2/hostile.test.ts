import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { GrowingMemory, makeImage } from '../../../test/peer/images.ts';
import { filesBeside, namedFile } from '../../stores/file/beside.ts';
import { openImage } from '../open-image.ts';

const folder = mkdtempSync(join(tmpdir(), 'nbdpipe-hostile-'));
after(() => rmSync(folder, { recursive: true }));

const SIZE = 64n << 20n;
const CLUSTER = 65536;

async function image(options = ''): Promise<GrowingMemory> {
  const file = new GrowingMemory(Buffer.alloc(0));
  await makeImage(file, 'qcow2', SIZE, options);
  return file;
}

const open = (device: GrowingMemory, more = {}) =>
  openImage({ device }, { format: 'qcow2', readOnly: false, ...more });

type Damage = (bytes: Buffer) => void;
const u32 = (at: number, value: number) => (bytes: Buffer) => bytes.writeUInt32BE(value, at);
const u64 = (at: number, value: bigint) => (bytes: Buffer) => bytes.writeBigUInt64BE(value, at);

/** What is wrong with a header, and the words that say so. */
const HEADERS: readonly (readonly [damage: Damage, words: RegExp])[] = [
  [u32(4, 9), /Unsupported qcow2 version 9/],
  [u32(20, 8), /Unsupported cluster size: 2\^8/],
  [u32(20, 40), /Unsupported cluster size: 2\^40/],
  [u64(24, 2n ** 63n), /Image is too big/],
  [u64(24, 2n ** 50n), /L1 table is too small/],
  [u32(32, 7), /Unsupported encryption method 7/],
  [u32(36, 2 ** 31), /Active L1 table too large/],
  [u64(40, 513n), /Active L1 table offset invalid/],
  [u64(40, 2n ** 60n), /Active L1 table offset invalid/],
  [u64(48, 5n), /Reference count table offset|reference count table offset/i],
  [u32(56, 0), /does not contain a reference count table/],
  [u32(56, 2 ** 31), /Reference count table too large/],
  [u32(60, 70_000), /Snapshot table too large/],
  [u64(64, 12n), /Snapshot table offset invalid/],
  [u64(72, 1n << 40n), /Unsupported qcow2 feature/],
  [u64(72, 8n), /Compression type/],
  [u32(96, 7), /Reference count entry width too large/],
  [u32(100, 16), /header too short/],
  [u32(100, 2 ** 30), /header exceeds cluster size/],
  [u32(116, 2 ** 31), /Header extension too large/],
  [u64(8, 2n ** 40n), /Invalid backing file offset/],
];

test('qcow2: a damaged header is refused in words', async () => {
  for (const [damage, words] of HEADERS) {
    const file = await image();
    damage(file.bytes);
    await assert.rejects(open(file), { name: 'BlockError', message: words });
  }
});

test('qcow2: an image names no file unless whoever opens it grants it', async () => {
  const secret = join(folder, 'secret');
  writeFileSync(secret, 'what nobody should see '.repeat(50));
  for (const name of [
    '/etc/passwd',
    '../secret',
    'nbd://localhost',
    'json:{}',
    'http://h/x',
    'fd:0',
  ]) {
    for (const options of [`backing_file=${name},backing_fmt=raw`, `data_file=${name}`]) {
      const file = await image(options);
      await assert.rejects(open(file), /no other files may be opened here/, options);
      const files = filesBeside({ folder });
      await assert.rejects(open(file, { files }), /the image names/, options);
    }
  }
});

test('qcow2: info opens no other file and reads none', async () => {
  for (const options of ['data_file=json:{}', 'backing_file=/dev/zero,backing_fmt=raw']) {
    const { device, facts } = await open(await image(options), { alone: true, readOnly: true });
    assert.equal(device.size, SIZE);
    assert.ok(facts.backing?.name === '/dev/zero' || facts.specific?.['data-file'] === 'json:{}');
    await device.close?.();
  }
});

test('qcow2: chains that are loops, or too long, end', async () => {
  const chain = async (name: string, backing: string) => {
    const path = join(folder, name);
    writeFileSync(path, (await image(`backing_file=${backing},backing_fmt=qcow2`)).bytes);
    return path;
  };
  const first = await chain('first', 'second');
  await chain('second', 'third');
  symlinkSync(first, join(folder, 'third'));
  const opening = (path: string) => {
    const file = namedFile(path, true);
    const options = { format: 'qcow2', readOnly: true, files: filesBeside() };
    return openImage(file, options).finally(() => file.device.close?.());
  };
  await assert.rejects(opening(first), /the chain is a loop/);
  for (let link = 0; link < 70; link++) await chain(`link${link}`, `link${link + 1}`);
  await assert.rejects(opening(join(folder, 'link0')), /more than 64 backing files/);
});

test('qcow2: tables that lead outside or into each other are errors of that place', async () => {
  const write = async (file: GrowingMemory) => {
    const { device } = await open(file);
    await device.write!(0n, Buffer.alloc(CLUSTER, 1));
    await device.close?.();
  };
  const L1 = 3 * CLUSTER;
  for (const entry of [0x8000_0000_0000_0200n, 0x80ff_ffff_ffff_0000n]) {
    const file = await image();
    await write(file);
    file.bytes.writeBigUInt64BE(entry, L1);
    const { device } = await open(file, { readOnly: true });
    const read = async () => device.read(0n, 512);
    await assert.rejects(read, { name: 'BlockError', message: /corrupt/ });
  }
});

test('qcow2: a compressed cluster that is cut short or unpacks to too little is an error', async () => {
  const file = await image();
  const { device, compressed } = await open(file);
  await compressed!.write!(0n, Buffer.alloc(CLUSTER, 'text '));
  await device.close?.();
  const data = file.bytes.length - CLUSTER;
  file.bytes.fill(0xff, data, data + 400);
  const again = await open(file, { readOnly: true });
  const read = async () => again.device.read(0n, 512);
  await assert.rejects(read, { name: 'BlockError', message: /a compressed cluster at \d+/ });
});

test('qcow2: what is not known of an image stays in it', async () => {
  const file = await image('lazy_refcounts=on,compression_type=zstd');
  // Behind the feature names: an extension of some other program.
  const at = 112 + 8 + 384;
  file.bytes.writeUInt32BE(0x1234_5678, at);
  file.bytes.writeUInt32BE(5, at + 4);
  file.bytes.write('hello', at + 8);
  const { device, setBacking } = await open(file);
  await device.resize!(SIZE * 2n);
  await setBacking!('base', 'raw');
  await device.close?.();
  const header = file.bytes.subarray(0, 1000).toString('latin1');
  assert.match(header, /\x12\x34\x56\x78\0\0\0\x05hello/);
  const { facts } = await open(file, { alone: true });
  assert.equal(facts.specific?.['compression-type'], 'zstd');
  assert.equal(facts.specific?.['lazy-refcounts'], true);
  assert.deepEqual(facts.backing, { name: 'base', format: 'raw' });
});

test('qcow2: many overwrites and flushes do not make the file longer', async () => {
  const file = await image();
  const { device } = await open(file);
  for (let round = 0; round < 2000; round++) {
    await device.write!(BigInt((round % 7) * 4096), Buffer.alloc(4096, round));
    await device.flush!();
  }
  await device.close?.();
  assert.ok(file.bytes.length <= 7 * CLUSTER);
});

/** What damages an image of which the first cluster has data, and what a write finds. */
const DAMAGES: readonly (readonly [what: string, damage: Damage, words: RegExp])[] = [
  [
    'the table of clusters is not counted',
    bytes => bytes.writeUInt16BE(0, 2 * CLUSTER + 2 * (tableOf(bytes) / CLUSTER)),
    /overlaps with active L2 table/,
  ],
  [
    'the header is not counted',
    bytes => bytes.writeUInt16BE(0, 2 * CLUSTER),
    /overlaps with qcow2 header/,
  ],
  [
    'the first table is not counted',
    bytes => bytes.writeUInt16BE(0, 2 * CLUSTER + 6),
    /overlaps with active L1 table/,
  ],
  [
    'data lies over the first table',
    bytes => bytes.writeBigUInt64BE(0x8000_0000_0003_0000n, tableOf(bytes)),
    /overlaps with active L1 table/,
  ],
  [
    'data lies between clusters',
    bytes => bytes.writeBigUInt64BE(0x8000_0000_0005_0200n, tableOf(bytes)),
    /is unaligned/,
  ],
];

const tableOf = (bytes: Buffer) =>
  Number(bytes.readBigUInt64BE(3 * CLUSTER) & 0xff_ffff_ffff_fe00n);

test('qcow2: what is found wrong while it is written is written to the header, and nothing else', async () => {
  for (const [what, damage, words] of DAMAGES) {
    const file = await image();
    const before = await open(file);
    await before.device.write!(0n, Buffer.alloc(CLUSTER, 1));
    await before.device.close!();
    damage(file.bytes);
    const { device } = await open(file);
    const write = async () => {
      await device.write!(0n, Buffer.alloc(512, 2));
      await device.write!(BigInt(CLUSTER), Buffer.alloc(3 * CLUSTER, 2));
    };
    await assert.rejects(write, { errno: 'EIO', message: words }, what);
    await assert.rejects(async () => device.write!(BigInt(9 * CLUSTER), Buffer.alloc(512, 3)), {
      message: /corrupt/,
    });
    await assert.rejects(async () => device.flush!(), { message: /corrupt/ });
    await device.close!();
    await assert.rejects(open(file), { errno: 'EROFS', message: /Image is corrupt/ });
    const { check } = await open(file, { checking: true });
    const { corruptions } = await check!('all');
    // What data lies over what nobody knows.
    if (what.startsWith('data')) continue;
    assert.equal(corruptions, 0);
    const mended = await open(file);
    await mended.device.write!(BigInt(CLUSTER), Buffer.alloc(3 * CLUSTER, 2));
    await mended.device.close!();
  }
});
