import type { BlockDevice } from '../../block/device.ts';
import type { Range } from '../range.ts';
import { walk } from '../walk.ts';
import { LINE, type Look, Text } from './lines.ts';

/** Bytes that are looked at as a whole for being one line again and again. */
const PAGE = 4096;

/**
 * The text of a part of a disk, piece by piece, each of them valid until the next. Zeroes that the
 * disk knows of are not read, and cost the same however long they are.
 */
export async function* dump(
  device: BlockDevice,
  range: Range,
  look: Look,
): AsyncGenerator<Uint8Array> {
  const squeezer = new Squeezer(device.size, look);
  for await (const { at, length, bytes } of walk(device, range, LINE)) {
    if (bytes) squeezer.bytes(at, bytes);
    else squeezer.zeroes(at, length);
    const text = squeezer.text.take();
    if (text.length > 0) yield text;
  }
}

const ZERO_LINE = new Uint8Array(LINE);

/** Leaves out lines that are as the one before them. */
class Squeezer {
  readonly text = new Text();
  readonly #size: bigint;
  readonly #look: Look;
  #last: Uint8Array | undefined;
  #leftOut = false;

  constructor(size: bigint, look: Look) {
    this.#size = size;
    this.#look = look;
  }

  zeroes(at: bigint, length: number): void {
    const part = length % LINE;
    const whole = length - part;
    if (whole > 0) this.#same(at, ZERO_LINE, whole);
    if (part > 0) this.#line(at + BigInt(whole), ZERO_LINE.subarray(0, part));
  }

  bytes(at: bigint, bytes: Uint8Array): void {
    for (let start = 0; start < bytes.length; start += PAGE) {
      const page = bytes.subarray(start, start + PAGE);
      const offset = at + BigInt(start);
      if (isOneLine(page)) this.#same(offset, page, page.length);
      else this.#page(offset, page);
    }
  }

  #page(at: bigint, page: Uint8Array): void {
    for (let start = 0; start < page.length; start += LINE) {
      this.#line(at + BigInt(start), page.subarray(start, start + LINE));
    }
  }

  /** `length` bytes that are one line again and again: what follows the second changes nothing. */
  #same(at: bigint, bytes: Uint8Array, length: number): void {
    const line = bytes.subarray(0, LINE);
    const last = at + BigInt(length - LINE);
    this.#line(at, line);
    if (length > LINE) this.#line(at + BigInt(LINE), line);
    if (length > 2 * LINE && this.#endsDisk(last)) this.#line(last, line);
  }

  #line(at: bigint, bytes: Uint8Array): void {
    if (!this.#endsDisk(at) && this.#last && isSame(bytes, this.#last)) {
      if (!this.#leftOut) this.#look.repeat(this.text);
      this.#leftOut = true;
      return;
    }
    this.#leftOut = false;
    this.#last = bytes;
    this.#look.line(this.text, at, bytes);
  }

  /** The last line of the disk is always shown. */
  #endsDisk(at: bigint): boolean {
    return at + BigInt(LINE) >= this.#size;
  }
}

/** Whether both are the same when what is missing of a line counts as zeroes. */
function isSame(bytes: Uint8Array, last: Uint8Array): boolean {
  for (let index = 0; index < LINE; index++) {
    if ((bytes[index] ?? 0) !== (last[index] ?? 0)) return false;
  }
  return true;
}

function isOneLine(page: Uint8Array): boolean {
  if (page.length % LINE !== 0) return false;
  return Buffer.compare(page.subarray(LINE), page.subarray(0, page.length - LINE)) === 0;
}
