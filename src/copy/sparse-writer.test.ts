import assert from 'node:assert/strict';
import { test } from 'node:test';
import { zeroes } from '../block/data.ts';
import type { BlockDevice } from '../block/device.ts';
import { SparseWriter, type Zeroing } from './sparse-writer.ts';

const { signal } = new AbortController();

/** Says what it is asked to do: `w` write, `z` zero, `Z` zero and stay allocated, `r` read. */
function recording(size: number, minimum: number, maximum: number) {
  const calls: string[] = [];
  const bytes = Buffer.alloc(size, 0xee);
  const device: BlockDevice = {
    size: BigInt(size),
    blockSize: { minimum, preferred: minimum, maximum },
    read: (offset, length) => {
      calls.push(`r${offset}+${length}`);
      return bytes.subarray(Number(offset), Number(offset) + length);
    },
    write: (offset, view) => {
      calls.push(`w${offset}+${view.length}`);
      bytes.set(view, Number(offset));
    },
    zero: (offset, length, options) => {
      calls.push(`${options?.mayTrim ? 'z' : 'Z'}${offset}+${length}`);
      bytes.fill(0, Number(offset), Number(offset) + length);
    },
  };
  return { calls, bytes, device };
}

interface Wishes extends Partial<Zeroing> {
  readonly size?: number;
  readonly minimum?: number;
  readonly maximum?: number;
}

/** What is asked of the device for a write of these views; the bytes are checked. */
async function put(offset: number, views: Uint8Array[], wishes: Wishes = {}): Promise<string[]> {
  const { size = 64, minimum = 1, maximum = 64, ...zeroing } = wishes;
  const { calls, bytes, device } = recording(size, minimum, maximum);
  const plain = { allocated: false, isZero: false, sparse: 4 };
  await new SparseWriter(device, { ...plain, ...zeroing }, signal).write(BigInt(offset), views);
  const expected = Buffer.concat(views);
  if (!zeroing.isZero) {
    assert.ok(bytes.subarray(offset, offset + expected.length).equals(expected));
    assert.equal(
      bytes.subarray(offset + expected.length).findIndex(byte => byte !== 0xee) < 0,
      true,
    );
  }
  return calls;
}

const known = (length: number) => zeroes(length) as Uint8Array;
/** Bytes of which only these are not zero. */
function thin(length: number, ...ones: number[]): Buffer {
  const bytes = Buffer.alloc(length);
  for (const one of ones) bytes[one] = 1;
  return bytes;
}

test('blocks of zeroes are found where blocks lie on the disk', async () => {
  const bytes = thin(20, 0, 17);
  const found = ['w0+4', 'z4+12', 'w16+4', 'z20+4'];
  assert.deepEqual(await put(0, [bytes, known(4)]), found);
  assert.deepEqual(await put(2, [bytes]), ['w2+2', 'z4+12', 'w16+4', 'z20+2']);
  assert.deepEqual(await put(0, [bytes, known(4)], { sparse: 0 }), ['w0+24']);
  assert.deepEqual(await put(0, [Buffer.alloc(6), known(4)]), ['z0+6', 'z6+4']);
  assert.deepEqual(await put(0, [Buffer.alloc(5, 7), known(4)]), ['w0+5', 'z5+4']);
});

test('zeroes: allocated, and not written where everything is zero', async () => {
  const bytes = [thin(8, 0)];
  assert.deepEqual(await put(0, bytes, { allocated: true }), ['w0+4', 'Z4+4']);
  assert.deepEqual(await put(0, bytes, { isZero: true }), ['w0+4']);
  const both = { allocated: true, isZero: true };
  assert.deepEqual(await put(0, bytes, both), ['w0+4', 'Z4+4']);
});

test('never less than the minimum block, whatever is searched for and however it comes', async () => {
  const options = { minimum: 8 };
  // Its four-byte block of zeroes is not worth a request that the device refuses.
  assert.deepEqual(await put(0, [thin(16, 0, 8)], options), ['w0+16']);
  assert.deepEqual(await put(8, [thin(24, 0)], options), ['w8+8', 'z16+16']);
  const views = [thin(2, 0), thin(2), thin(4), known(3), known(5), thin(8, 7)];
  assert.deepEqual(await put(0, views, options), ['w0+8', 'z8+8', 'w16+8']);
  assert.deepEqual(await put(0, [thin(4, 0), known(16), thin(4, 0)], options), [
    'w0+8',
    'z8+8',
    'w16+8',
  ]);
});

test('no longer than the maximum, in whole blocks', async () => {
  const full = Buffer.alloc(40, 7);
  assert.deepEqual(await put(0, [full], { maximum: 16 }), ['w0+16', 'w16+16', 'w32+8']);
  const odd = { minimum: 8, maximum: 21 };
  assert.deepEqual(await put(0, [full], odd), ['w0+16', 'w16+16', 'w32+8']);
});

test('the rest of a block in which the data ends stays as it is', async () => {
  const options = { minimum: 8 };
  assert.deepEqual(await put(8, [Buffer.alloc(11, 7)], options), ['w8+8', 'r16+8', 'w16+8']);
  assert.deepEqual(await put(8, [known(11)], options), ['z8+8', 'r16+8', 'w16+8']);
  const zero = { ...options, isZero: true };
  assert.deepEqual(await put(8, [Buffer.alloc(11, 7)], zero), ['w8+8', 'w16+8']);
  assert.deepEqual(await put(8, [known(11)], zero), []);
});

test('a device that ends inside a block gets as much as it has', async () => {
  const ends = { minimum: 8, size: 19 };
  assert.deepEqual(await put(8, [Buffer.alloc(11, 7)], ends), ['w8+8', 'w16+3']);
  assert.deepEqual(await put(8, [Buffer.alloc(9, 7)], ends), ['w8+8', 'r16+3', 'w16+3']);
});
