import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { deviceContract } from '../../../test/contract/contract.ts';
import { openOver, REQUEST, watchedSource } from '../../../test/contract/open.ts';
import { recorded } from '../../../test/peer/recorder.ts';
import { StrictDevice } from '../../../test/peer/strict-device.ts';
import { temporaryFolder } from '../../../test/peer/wire.ts';
import { Random, readBytes } from '../../testing/model.ts';

/** Bytes that deflate makes into many blocks: random ones, text and zeroes. */
const CONTENT = Buffer.concat(
  Array.from({ length: 12 }, (_, index) => [
    new Random(index).bytes(50_000 + 7 * index).map(byte => byte & (index % 2 ? 0xff : 0x0f)),
    Buffer.alloc(30_001, 'words and words '),
    Buffer.alloc(40_000),
  ]).flat(),
);
const FILE = gzipSync(CONTENT);
const MEMBERS = [0, 300_000, 300_001, 1_000_000].map((start, index, all) =>
  CONTENT.subarray(start, all[index + 1] ?? CONTENT.length),
);
const PACKED = MEMBERS.map(member => gzipSync(member));
const SPAN = 'indexed-gzip gzip-index-span=64k';

const open = (file: Buffer, words = SPAN) => openOver(new StrictDevice(file), words);

deviceContract('indexed-gzip', () => open(FILE), { writes: 'none' });

for (const [what, file] of [
  ['one member', FILE],
  ['several members', Buffer.concat(PACKED)],
  [
    'zeroes between members',
    Buffer.concat(PACKED.flatMap((member, index) => [Buffer.alloc(700 * index), member])),
  ],
  ['zeroes at the end', Buffer.concat([FILE, Buffer.alloc(3 << 20)])],
] as const) {
  test(`all bytes: ${what}`, async () => {
    const device = await open(file);
    assert.equal(device.size, BigInt(CONTENT.length));
    assert.ok(CONTENT.equals(await readBytes(device, 0n, CONTENT.length)));
    await device.close!();
  });
}

test('the index is kept, and used again', async t => {
  const path = join(temporaryFolder(t), 'index');
  const words = `${SPAN} gzip-index-path=${path}`;
  const first = await open(FILE, words);
  assert.ok(CONTENT.equals(await readBytes(first, 0n, CONTENT.length)));
  await first.close!();

  const { device: below, calls } = recorded(new StrictDevice(FILE));
  const { source, notes } = await watchedSource({ open: () => below }, words);
  const device = await source.open(REQUEST);
  const at = CONTENT.length - 10;
  assert.ok(CONTENT.subarray(at).equals(await readBytes(device, BigInt(at), 10)));
  const read = calls.reduce((sum, { length }) => sum + Number(length), 0);
  assert.ok(read < 120_000, `${read} bytes of ${FILE.length} were read`);
  assert.match(notes.join(), /the index is '.*index'.* places to begin at/);
  await device.close!();
  await source.close!();
});

function gziOf(parts: readonly Buffer[], contents: readonly Buffer[]): Buffer {
  const bytes = Buffer.alloc(8 + 16 * (parts.length - 1));
  bytes.writeBigUInt64LE(BigInt(parts.length - 1));
  let [from, start] = [0, 0];
  for (let index = 1; index < parts.length; index++) {
    from += parts[index - 1]!.length;
    start += contents[index - 1]!.length;
    bytes.writeBigUInt64LE(BigInt(from), 16 * index - 8);
    bytes.writeBigUInt64LE(BigInt(start), 16 * index);
  }
  return bytes;
}

function fileWith(t: TestContext, bytes: Buffer): string {
  const path = join(temporaryFolder(t), 'index');
  writeFileSync(path, bytes);
  return `indexed-gzip gzip-index-path=${path}`;
}

test('the index of bgzip', async t => {
  const tail = [...MEMBERS, Buffer.alloc(0)];
  const packed = [...PACKED, gzipSync(Buffer.alloc(0))];
  const gzi = gziOf(packed.slice(0, -1), tail.slice(0, -1));
  const device = await open(Buffer.concat(packed), fileWith(t, gzi));
  assert.equal(device.size, BigInt(CONTENT.length));
  assert.ok(CONTENT.equals(await readBytes(device, 0n, CONTENT.length)));
  await device.close!();
});

/** An index as it is kept. */
async function madeIndex(t: TestContext): Promise<Buffer> {
  const path = join(temporaryFolder(t), 'index');
  const device = await open(FILE, `${SPAN} gzip-index-path=${path}`);
  await device.close!();
  return readFileSync(path);
}

test('an index that does not belong to the file, or is damaged', async t => {
  const index = await madeIndex(t);
  const other = Buffer.from(FILE);
  other[FILE.length - 6]! ^= 1;
  await assert.rejects(open(other, fileWith(t, index)), { errno: 'EIO', message: /another file/ });
  const refused: readonly (readonly [index: Buffer, message: RegExp])[] = [
    [index.subarray(0, -20), /the index is cut short|another file/],
    [index.subarray(0, 50), /the index is cut short|another file/],
    [Buffer.alloc(0), /it is no index/],
    [Buffer.alloc(100, 'x'), /it is no index/],
    [gziOf([FILE, FILE], [CONTENT, CONTENT]), /another file/],
  ];
  for (const [bytes, message] of refused) {
    await assert.rejects(open(FILE, fileWith(t, bytes)), { errno: 'EIO', message });
  }
  const wild = Buffer.from(index);
  wild[8 + 24 + 3] = 0xff;
  await assert.rejects(open(FILE, fileWith(t, wild)), { errno: 'EIO', message: /index/ });
});

test('a window that is damaged fails what needs it', async t => {
  const index = await madeIndex(t);
  // The first place has none; the second one's follows its record.
  const second = index.readBigUInt64LE(8 + 24);
  index.fill(0xff, 8 + 24 + 24, 8 + 24 + 24 + 100);
  const device = await open(FILE, fileWith(t, index));
  const message = /^gzip: the block of \d+ bytes at \d+: gzip: the index is damaged$/;
  await assert.rejects(async () => await device.read(second, 1), { errno: 'EIO', message });
  assert.ok(CONTENT.subarray(0, 99).equals(await readBytes(device, 0n, 99)));
  await device.close!();
});

test('a file that cannot be indexed leaves none', async t => {
  const path = join(temporaryFolder(t), 'index');
  const words = `indexed-gzip gzip-index-path=${path}`;
  await assert.rejects(open(FILE.subarray(0, 9999), words), { message: 'gzip: it is cut short' });
  await assert.rejects(open(Buffer.alloc(99, 'x'), words), { message: 'gzip: it is damaged' });
  assert.throws(() => readFileSync(path), { code: 'ENOENT' });
});
