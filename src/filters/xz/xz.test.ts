import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deviceContract } from '../../../test/contract/contract.ts';
import { filterSource, openOver, REQUEST, watchedSource } from '../../../test/contract/open.ts';
import { recorded } from '../../../test/peer/recorder.ts';
import { StrictDevice } from '../../../test/peer/strict-device.ts';
import { xzStream } from '../../../test/peer/xz.ts';
import { Random, readBytes } from '../../testing/model.ts';

const BLOCKS = [100_000, 1, 70_000, 65_536, 30_000].map((length, index) => ({
  bytes: new Random(index + 1).bytes(length),
}));
const CONTENT = Buffer.concat(BLOCKS.map(({ bytes }) => bytes));
/** Three streams, one of which is empty, with padding between and after them. */
const FILE = Buffer.concat([
  xzStream(BLOCKS.slice(0, 3)),
  Buffer.alloc(8),
  xzStream([]),
  xzStream(BLOCKS.slice(3)),
  Buffer.alloc(4),
]);

deviceContract('xz', () => openOver(new StrictDevice(FILE, { blockSize: blocks() }), 'xz'), {
  writes: 'none',
});

function blocks() {
  return { minimum: 512, preferred: 4096, maximum: 1 << 20 };
}

const open = (file: Buffer, words = '') => openOver(new StrictDevice(file), `xz ${words}`.trim());

test('all bytes of all streams', async () => {
  const device = await open(FILE);
  assert.equal(device.size, BigInt(CONTENT.length));
  assert.ok(CONTENT.equals(await readBytes(device, 0n, CONTENT.length)));
  await device.close!();
});

test('a corrupt block fails by itself', async () => {
  const file = Buffer.from(FILE);
  file[12 + 12 + 3 + 500]! ^= 1;
  const device = await open(file);
  await assert.rejects(async () => await device.read(99_000n, 1), {
    errno: 'EIO',
    offset: 0n,
    message: 'xz: the block of 100000 bytes at 0: it is damaged',
  });
  const rest = CONTENT.subarray(100_000);
  assert.ok(rest.equals(await readBytes(device, 100_000n, rest.length)));
  await device.close!();
});

test('a block is decoded once for all who ask, in all connections', async () => {
  const { device: below, calls } = recorded(new StrictDevice(FILE));
  const source = await filterSource({ open: () => below }, 'xz');
  const [one, other] = await Promise.all([source.open(REQUEST), source.open(REQUEST)]);
  calls.length = 0;
  await Promise.all([one.read(0n, 10), other.read(50n, 10), one.read(99_999n, 1)]);
  await other.read(5n, 1);
  assert.equal(calls.filter(({ kind }) => kind === 'read').length, 1);
  await one.close!();
  await other.close!();
});

test('large blocks go through a temporary file', async () => {
  const bytes = Buffer.alloc(33 << 20);
  bytes.write('here', 20 << 20);
  const { source, notes } = await watchedSource(
    { open: () => new StrictDevice(xzStream([{ bytes }, { bytes: Buffer.from('end') }])) },
    'xz',
  );
  const device = await source.open(REQUEST);
  assert.match(notes.join(), /temporary file/);
  assert.equal((await readBytes(device, 20n << 20n, 4)).toString(), 'here');
  assert.equal((await readBytes(device, (33n << 20n) - 2n, 5)).toString(), '\0\0end');
  await device.close!();
});

test('the description says what it is', async () => {
  const below = Object.assign(new StrictDevice(FILE), { description: 'a file' });
  const { description } = await openOver(below, 'xz');
  assert.equal(description, 'expansion of xz-compressed image: a file');
});

const one = xzStream([{ bytes: Buffer.from('some bytes') }]);
const changed = (at: number, value: number) => {
  const file = Buffer.from(one);
  file[at < 0 ? file.length + at : at] = value;
  return file;
};

const REFUSED: readonly (readonly [what: string, file: Buffer, words: string, message: RegExp])[] =
  [
    ['an empty file', Buffer.alloc(0), '', /no xz file, or is cut short/],
    ['zeroes', Buffer.alloc(1 << 20), '', /no xz file/],
    ['something else', Buffer.alloc(4096, 7), '', /no xz file, or is cut short/],
    ['a file that is cut short', one.subarray(0, -8), '', /no xz file, or is cut short/],
    ['a file without its beginning', one.subarray(8), '', /more than there is/],
    ['another header', changed(0, 1), '', /header of a stream is missing/],
    ['a damaged header', changed(8, 1), '', /header is damaged/],
    ['a damaged footer', changed(-8, 3), '', /footer is damaged/],
    ['a damaged index', changed(-14, 77), '', /index is damaged/],
    ['padding before all', Buffer.concat([Buffer.alloc(4), one]), '', /padding comes before/],
    ['odd padding', Buffer.concat([one, Buffer.alloc(3)]), '', /multiple of 4/],
    ['a huge block', xzStream([{ bytes: Buffer.from('x'), claim: 2 ** 40 }]), '', /xz-max-block/],
    [
      'blocks of more than 2^53 bytes',
      xzStream([0, 1].map(() => ({ bytes: Buffer.from('x'), claim: 2 ** 53 - 1 }))),
      'xz-max-block=7E',
      /2\^53/,
    ],
    [
      'a block over the option',
      FILE,
      'xz-max-block=99999',
      /100000 bytes, and xz-max-block is 99999/,
    ],
  ];

for (const [what, file, words, message] of REFUSED) {
  test(`refused: ${what}`, async () => {
    await assert.rejects(open(file, words), { errno: 'EIO', message });
  });
}

test('an index with more blocks than fit is refused before they are made', async () => {
  const file = Buffer.from(xzStream(Array(200).fill({ bytes: Buffer.from('x') })));
  const index = file.length - 12 - (file.readUInt32LE(file.length - 8) + 1) * 4;
  // A count of 2^34 or so.
  file.set([0, 0xff, 0xff, 0xff, 0xff, 0x7f], index);
  const { crc32 } = await import('node:zlib');
  file.writeUInt32LE(crc32(file.subarray(index, file.length - 16)), file.length - 16);
  await assert.rejects(open(file), { errno: 'EIO', message: /more than 2097152 blocks/ });
});

const WRONG: readonly (readonly [what: string, file: Buffer, words: string, expected: object])[] = [
  [
    'more than the index says',
    xzStream([{ bytes: Buffer.alloc(1000, 1), claim: 999 }]),
    '',
    { errno: 'EIO', message: /more comes of it than it says|damaged/ },
  ],
  [
    'less than the index says',
    xzStream([{ bytes: Buffer.alloc(1000, 1), claim: 1001 }]),
    '',
    { errno: 'EIO', message: /less comes of it than it says|damaged/ },
  ],
  [
    'a dictionary of 4 GiB',
    xzStream([{ bytes: Buffer.alloc(1000, 1), dictionary: 40 }]),
    '',
    { errno: 'ENOMEM', message: /dictionary is too large: xz-max-block is 536870912/ },
  ],
];

for (const [what, file, words, expected] of WRONG) {
  test(`a read fails: ${what}`, async () => {
    const device = await open(file, words);
    await assert.rejects(async () => await device.read(0n, 1), expected);
    await device.close!();
  });
}
