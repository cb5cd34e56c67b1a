import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deflateRawSync, gzipSync } from 'node:zlib';
import { deviceContract } from '../../../test/contract/contract.ts';
import { openOver, REQUEST, watchedSource } from '../../../test/contract/open.ts';
import { recorded } from '../../../test/peer/recorder.ts';
import { StrictDevice } from '../../../test/peer/strict-device.ts';
import { Random, readBytes } from '../../testing/model.ts';

/** Bytes, zeroes and bytes again. */
const CONTENT = Buffer.concat([
  new Random(1).bytes(200_000),
  Buffer.alloc(3_000_000),
  new Random(2).bytes(100_001),
]);
const FILE = gzipSync(CONTENT);

const open = (file: Buffer) => openOver(new StrictDevice(file), 'gzip');

deviceContract('gzip', () => open(FILE), { writes: 'none' });

const GOOD: readonly (readonly [what: string, file: Buffer])[] = [
  ['one member', FILE],
  [
    'several members',
    Buffer.concat(
      [0, 100_000, 900_000].map((at, index, all) =>
        gzipSync(CONTENT.subarray(at, all[index + 1] ?? CONTENT.length)),
      ),
    ),
  ],
  ['an empty member between', Buffer.concat([gzipSync(Buffer.alloc(0)), FILE])],
  [
    'zeroes between members',
    Buffer.concat([
      gzipSync(CONTENT.subarray(0, 100_000)),
      Buffer.alloc(700),
      gzipSync(CONTENT.subarray(100_000)),
    ]),
  ],
  ['zeroes at the end', Buffer.concat([FILE, Buffer.alloc(5000)])],
  ['many zeroes at the end', Buffer.concat([FILE, Buffer.alloc(3 << 20)])],
];
for (const [what, file] of GOOD) {
  test(`all bytes: ${what}`, async () => {
    const device = await open(file);
    assert.equal(device.size, BigInt(CONTENT.length));
    assert.ok(CONTENT.equals(await readBytes(device, 0n, CONTENT.length)));
    await device.close!();
  });
}

test('zeroes are holes', async () => {
  const device = await open(FILE);
  let holes = 0;
  for (const { hole, length } of await device.extents!(0n, Number(device.size))) {
    if (hole) holes += length;
  }
  assert.ok(holes > 2_500_000, `${holes} bytes`);
  await device.close!();
});

test('it is decompressed once, as long as the server runs', async () => {
  const { device: below, calls } = recorded(new StrictDevice(FILE));
  const { source, notes } = await watchedSource({ open: () => below }, 'gzip');
  for (let round = 0; round < 2; round++) {
    const device = await source.open(REQUEST);
    assert.equal((await readBytes(device, 0n, 4)).compare(CONTENT.subarray(0, 4)), 0);
    await device.close!();
  }
  assert.equal(calls.filter(({ kind }) => kind === 'read').length, 1);
  assert.equal(notes.length, 1);
  assert.match(notes[0]!, /temporary file/);
  await source.close!();
});

test('nothing in it', async () => {
  const device = await open(gzipSync(Buffer.alloc(0)));
  assert.equal(device.size, 0n);
  await device.close!();
});

const damaged = Buffer.from(FILE);
damaged[100_000]! ^= 0x10;
const wrongSum = Buffer.from(FILE);
wrongSum[FILE.length - 8]! ^= 1;
const REFUSED: readonly (readonly [what: string, file: Buffer, message: RegExp])[] = [
  ['an empty file', Buffer.alloc(0), /^gzip: it is cut short$/],
  ['something else', Buffer.alloc(5000, 'x'), /^gzip: it is damaged$/],
  ['raw deflate', deflateRawSync(CONTENT), /^gzip: it is damaged/],
  [
    'something else at the end',
    Buffer.concat([FILE, Buffer.alloc(5000, 'garbage')]),
    /^gzip: it is damaged$/,
  ],
  [
    'something else after zeroes at the end',
    Buffer.concat([FILE, Buffer.alloc(5000), Buffer.from('garbage')]),
    /^gzip: it is damaged$/,
  ],
  ['half a file', FILE.subarray(0, FILE.length / 2), /^gzip: it is cut short$/],
  ['a damaged file', damaged, /^gzip: it is damaged/],
  ['a wrong check sum', wrongSum, /^gzip: it is damaged$/],
];
for (const [what, file, message] of REFUSED) {
  test(`refused: ${what}`, async () => {
    await assert.rejects(open(file), { errno: 'EIO', message });
  });
}

test('a client that leaves ends the work', async () => {
  const controller = new AbortController();
  const reason = new Error('it has left');
  const opening = openOver(new StrictDevice(FILE), 'gzip', { signal: controller.signal });
  controller.abort(reason);
  await assert.rejects(async () => await opening, reason);
});
