import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BlockDevice, Extent } from '../../block/device.ts';
import { MAX_SIZE } from '../../block/device.ts';
import { rangeOf } from '../range.ts';
import { dump } from './dump.ts';
import { type Look, lookOf, Text } from './lines.ts';

const PLAIN = lookOf(false);
const ZERO_LINE = `${'00 '.repeat(8)} ${'00 '.repeat(8)}|................|\n`;

function lineOf(look: Look, offset: bigint, bytes: Uint8Array): string {
  const text = new Text();
  look.line(text, offset, bytes);
  return Buffer.from(text.take()).toString();
}

async function dumped(device: BlockDevice, from = 0n, to = device.size): Promise<string> {
  let text = '';
  for await (const piece of dump(device, { from, to }, PLAIN)) text += Buffer.from(piece);
  return text;
}

const diskOf = (bytes: Buffer): BlockDevice => ({
  size: BigInt(bytes.length),
  read: (offset, length) => bytes.subarray(Number(offset), Number(offset) + length),
});

/** The rules of the C nbddump, word for word and slowly. */
function reference(bytes: Buffer, from: number, to: number): string {
  let text = '';
  let last: Buffer | undefined;
  let leftOut = false;
  for (let at = from; at < to; at += 16) {
    const shown = bytes.subarray(at, Math.min(at + 16, to));
    const line = Buffer.concat([shown, Buffer.alloc(16)]).subarray(0, 16);
    if (last && at + 16 < bytes.length && line.equals(last)) {
      if (!leftOut) text += '*\n';
      leftOut = true;
      continue;
    }
    leftOut = false;
    last = line;
    text += lineOf(PLAIN, BigInt(at), shown);
  }
  return text;
}

/** A disk of runs of zeroes, of one byte and of all kinds, that tells of some of its zeroes. */
function motley(seed: number): { bytes: Buffer; device: BlockDevice } {
  let state = seed;
  const random = (below: number) => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return (state >>> 8) % below;
  };
  const runs: Extent[] = [];
  const parts: Buffer[] = [];
  for (let count = 0; count < 40; count++) {
    const length = 1 + random([15, 200, 9000][random(3)]!);
    const kind = random(4);
    const zero = kind < 2;
    const bytes = Buffer.alloc(length, kind === 2 ? 7 : 0);
    if (kind === 3) for (let at = 0; at < length; at++) bytes[at] = random(256);
    parts.push(bytes);
    runs.push({ length, hole: zero, zero: zero && kind === 0 });
  }
  const bytes = Buffer.concat(parts);
  const extents = (offset: bigint, length: number): Extent[] => {
    let at = 0;
    const found: Extent[] = [];
    for (const run of runs) {
      const start = Math.max(at, Number(offset));
      at += run.length;
      if (at > start && start < Number(offset) + length) {
        found.push({ ...run, length: at - start });
        if (found.length === 3) break;
      }
    }
    return found;
  };
  return { bytes, device: { ...diskOf(bytes), extents } };
}

test('any disk, whole and in part, as the reference has it', async () => {
  for (let seed = 1; seed <= 25; seed++) {
    const { bytes, device } = motley(seed);
    const size = bytes.length;
    for (const [from, to] of [
      [0, size],
      [seed, size],
      [0, size - seed * 100],
      [size >> 1, (size >> 1) + seed],
    ] as const) {
      const text = await dumped(device, BigInt(from), BigInt(Math.max(from, to)));
      assert.equal(text, reference(bytes, from, to), `seed ${seed}, ${from} to ${to}`);
    }
  }
});

test('the largest disk, without data, costs no read', async () => {
  let asked = 0;
  const text = await dumped({
    size: MAX_SIZE,
    read: () => assert.fail('it knows of its zeroes'),
    extents: (_, length) => {
      asked += 1;
      return [{ length, hole: true, zero: true }];
    },
  });
  const short = ZERO_LINE.replace(/00 \|(.*).\|/, '   |$1 |');
  assert.equal(text, `0000000000: ${ZERO_LINE}*\n7ffffffffffffff0: ${short}`);
  assert.ok(asked <= 2 ** 12, `${asked} questions`);
});

test('a terabyte of holes is three lines', async () => {
  const size = 1n << 40n;
  const device: BlockDevice = {
    size,
    read: () => assert.fail('it knows of its zeroes'),
    extents: (_, length) => [{ length, hole: true, zero: true }],
  };
  const text = `0000000000: ${ZERO_LINE}*\nfffffffff0: ${ZERO_LINE}`;
  assert.equal(await dumped(device), text);
});

test('the text of a line, short and with colours', async () => {
  const device = diskOf(Buffer.from('hello, world!\n\0'));
  assert.equal(
    await dumped(device),
    '0000000000: 68 65 6c 6c 6f 2c 20 77  6f 72 6c 64 21 0a 00    |hello, world!.. |\n',
  );
  assert.equal(
    lineOf(lookOf(true), 0n, Buffer.from('a!\0')),
    '\x1b[22;32m0000000000\x1b[22;90m: \x1b[1;34m61 \x1b[1;34m21 \x1b[22;90m00 \x1b[22;90m' +
      `${' '.repeat(40)}│\x1b[1;31ma\x1b[1;35m!\x1b[22;90m·\x1b[22;90m${' '.repeat(13)}│\n\x1b[0m`,
  );
});

test('a range is cut to the disk, and an offset past its end is refused', () => {
  const range = (offset: string, length?: string) =>
    rangeOf([
      { key: 'offset', value: offset },
      ...(length === undefined ? [] : [{ key: 'length', value: length }]),
    ])(1024n);
  assert.deepEqual(range('1k'), { from: 1024n, to: 1024n });
  assert.deepEqual(range('0', '1T'), { from: 0n, to: 1024n });
  assert.deepEqual(range('3', '4'), { from: 3n, to: 7n });
  assert.throws(() => range('1025'), /^UsageError: --offset: 1025 is past the end of the disk/);
  assert.throws(() => range('0', 'x'), /^UsageError: --length: cannot parse 'x'/);
});
