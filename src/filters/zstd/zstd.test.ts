import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deviceContract } from '../../../test/contract/contract.ts';
import { openOver, REQUEST, watchedSource } from '../../../test/contract/open.ts';
import { recorded } from '../../../test/peer/recorder.ts';
import { StrictDevice } from '../../../test/peer/strict-device.ts';
import { Random, readBytes } from '../../testing/model.ts';

const PARTS = [100_000, 300_000, 1, 200_000].map((length, index) =>
  new Random(index).bytes(length),
);
const CONTENT = Buffer.concat(PARTS);
const BLOCK = 128 << 10;

function numbers(...values: number[]): Buffer {
  const bytes = Buffer.alloc(4 * values.length);
  for (const [index, value] of values.entries()) bytes.writeUInt32LE(value, 4 * index);
  return bytes;
}

/** A frame that holds its bytes as they are. @param says whether it tells their number. */
function frameOf(bytes: Buffer, says = true): Buffer {
  const parts = [numbers(0xfd2fb528), says ? Buffer.from([0xa0]) : Buffer.from([0, 0x40])];
  if (says) parts.push(numbers(bytes.length));
  for (let at = 0; at < bytes.length; at += BLOCK) {
    const block = bytes.subarray(at, at + BLOCK);
    const isLast = Number(at + BLOCK >= bytes.length);
    parts.push(numbers((block.length << 3) | isLast).subarray(0, 3), block);
  }
  return Buffer.concat(parts);
}

function seekable(frames: readonly Buffer[], lengths: readonly number[], extra = 0): Buffer {
  const entries = frames.flatMap((frame, index) => [frame.length, lengths[index]!]);
  const table = [...entries, lengths.length + extra];
  const header = numbers(0x184d2a5e, 4 * table.length + 5);
  return Buffer.concat([
    ...frames,
    header,
    numbers(...table),
    Buffer.from([0]),
    numbers(0x8f92eab1),
  ]);
}

const FRAMES = PARTS.map(part => frameOf(part));
const LENGTHS = PARTS.map(part => part.length);
const open = (file: Buffer) => openOver(new StrictDevice(file), 'zstd');

const GOOD: readonly (readonly [what: string, file: Buffer, told: RegExp])[] = [
  ['a seek table', seekable(FRAMES, LENGTHS), /4 frames, the largest of 300000/],
  ['frames', Buffer.concat(FRAMES), /4 frames, the largest of 300000/],
  [
    'frames as those of pzstd',
    Buffer.concat(FRAMES.flatMap(frame => [numbers(0x184d2a50, 4, frame.length), frame])),
    /4 frames/,
  ],
  ['frames that do not say how large they are', frameOf(CONTENT, false), /temporary file/],
  [
    'a frame of many blocks',
    frameOf(Buffer.concat([CONTENT, Buffer.alloc(64 * BLOCK)])),
    /temporary file/,
  ],
];
for (const [what, file, told] of GOOD) {
  deviceContract(what, () => open(file), { writes: 'none' });

  test(`all bytes: ${what}`, async () => {
    const { source, notes } = await watchedSource({ open: () => new StrictDevice(file) }, 'zstd');
    const device = await source.open(REQUEST);
    assert.ok(CONTENT.equals(await readBytes(device, 0n, CONTENT.length)));
    assert.match(notes.join(), told);
    await device.close!();
    await source.close!();
  });
}

test('of a seekable file only what is needed is read', async () => {
  const { device: below, calls } = recorded(new StrictDevice(seekable(FRAMES, LENGTHS)));
  const device = await openOver(below, 'zstd');
  calls.length = 0;
  await device.read(400_000n, 1);
  assert.deepEqual(
    calls.map(({ offset, length }) => [offset, length]),
    [[BigInt(FRAMES[0]!.length + FRAMES[1]!.length), FRAMES[2]!.length]],
  );
  await device.close!();
});

test('a damaged frame fails by itself', async () => {
  const file = seekable(FRAMES, LENGTHS);
  file[0] = 1;
  const device = await open(file);
  const message = /^zstd: the block of 100000 bytes at 0: it is damaged/;
  await assert.rejects(async () => await device.read(5n, 1), { errno: 'EIO', message });
  assert.equal((await readBytes(device, 100_000n, 9)).compare(CONTENT, 100_000, 100_009), 0);
  await device.close!();
});

const one = frameOf(Buffer.from('some bytes'));
/** A window of 2^41 bytes. */
const vast = Buffer.concat([one.subarray(0, 4), Buffer.from([0, 0xf8]), one.subarray(9)]);
const REFUSED: readonly (readonly [what: string, file: Buffer, expected: object])[] = [
  ['an empty file', Buffer.alloc(0), { errno: 'EIO', message: /^zstd: it is cut short$/ }],
  ['something else', Buffer.alloc(5000, 'x'), { errno: 'EIO', message: /no Zstandard file/ }],
  ['a file that is cut short', one.subarray(0, -3), { errno: 'EIO', message: /cut short/ }],
  ['a window of 2 TiB', vast, { errno: 'ENOMEM', message: /window is too large/ }],
  [
    'a seek table that is too long',
    seekable(FRAMES, LENGTHS, 1 << 20),
    { errno: 'EIO', message: /seek table is damaged/ },
  ],
  [
    'a seek table of other frames',
    seekable(FRAMES.slice(1), LENGTHS).subarray(FRAMES[1]!.length),
    { errno: 'EIO', message: /seek table is damaged/ },
  ],
];
for (const [what, file, expected] of REFUSED) {
  test(`refused: ${what}`, async () => {
    await assert.rejects(open(file), expected);
  });
}

test('a frame that holds less than the table says', async () => {
  const device = await open(seekable(FRAMES, [100_001, ...LENGTHS.slice(1)]));
  const message = /less comes of it than it says/;
  await assert.rejects(async () => await device.read(0n, 1), { errno: 'EIO', message });
  await device.close!();
});

test('a frame that holds more than the table says', async () => {
  const device = await open(seekable(FRAMES, [99_999, ...LENGTHS.slice(1)]));
  const message = /more comes of it than it says/;
  await assert.rejects(async () => await device.read(0n, 1), { errno: 'EIO', message });
  await device.close!();
});
