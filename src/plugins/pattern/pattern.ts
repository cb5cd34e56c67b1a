import { endianness } from 'node:os';
import type { BlockDevice, Memory } from '../../block/device.ts';
import { verifyWrite } from '../../block/verify.ts';
import { definePlugin, sourceOf } from '../../declare/declare.ts';

export default definePlugin({
  name: 'pattern',
  description: 'a disk on which every 8 bytes hold their own offset; checks what is written',
  parameters: {
    size: { type: 'size', required: true, bare: true, help: 'Size of the disk' },
  },
  create({ size }) {
    return sourceOf(() => patternDevice(size));
  },
});

function patternDevice(size: bigint): BlockDevice {
  return {
    size,
    multiConn: true,
    read: pattern,
    write: (offset, data) => verifyWrite(offset, data, pattern(offset, data.length)),
    cache: () => {},
  };
}

/** Offsets whose big-endian bytes differ only in the last one: 32 of them. */
const LINE = 256;
/** What a step of 8 adds to a word that holds big-endian bytes. */
const STEP = endianness() === 'LE' ? 8 << 24 : 8;
const swap: (word: number) => number =
  endianness() === 'LE'
    ? word => (word << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24)
    : word => word;

/** The bytes at `offset`: each 8, from a multiple of 8 on, are that multiple, big-endian. */
function pattern(offset: bigint, length: number, memory?: Memory): Uint8Array {
  const skip = Number(offset & 7n);
  const whole = Math.ceil((skip + length) / 8) * 8;
  const lent = whole === length ? memory?.(length) : undefined;
  const bytes = lent && lent.byteOffset % 4 === 0 ? lent : Buffer.allocUnsafeSlow(whole);
  const words = new Int32Array(bytes.buffer, bytes.byteOffset, whole / 4);
  const start = offset - BigInt(skip);
  let high = Number(start >> 32n);
  let low = Number(start & 0xffff_ffffn);
  for (let at = 0; at < words.length; ) {
    const run = Math.min(bytes.length - at * 4, 2 ** 32 - low);
    fillWords(words.subarray(at, at + run / 4), swap(high), low);
    at += run / 4;
    low = 0;
    high += 1;
  }
  return bytes.subarray(skip, skip + length);
}

/** `high` is in the disk's byte order already; `low` counts on from word to word. */
function fillWords(words: Int32Array, high: number, low: number): void {
  let base = low;
  for (let at = 0; at < words.length; ) {
    const end = Math.min(words.length, at + (LINE - (base % LINE)) / 4);
    let word = swap(base | 0);
    base += (end - at) * 4;
    for (; at < end; at += 2) {
      words[at] = high;
      words[at + 1] = word;
      word = (word + STEP) | 0;
    }
  }
}
