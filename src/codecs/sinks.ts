import { writeSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import { isZero } from '../block/data.ts';
import { BlockError } from '../block/errors.ts';
import type { Sink } from './coding.ts';

/** Most that is decoded before one looks whether anybody still wants it, and written at once. */
const PIECE = 128 << 10;
/** Bytes that a file is spared where all of them are zero. */
const GRAIN = 64 << 10;

/** Counts, checks and stops what comes. */
abstract class Counted implements Sink {
  readonly most: number;
  done = 0;
  readonly #check: () => void;
  readonly #crc: number | undefined;
  #sum = 0;

  /** @param check throws when nobody wants the bytes any more. */
  constructor(most: number, crc: number | undefined, check: () => void) {
    this.most = most;
    this.#crc = crc;
    this.#check = check;
  }

  abstract room(): Uint8Array;
  protected abstract put(bytes: Uint8Array): void;
  protected abstract last(): Uint8Array;

  filled(length: number): void {
    this.#check();
    if (length === 0) return;
    this.done += length;
    if (this.done > this.most) throw new BlockError('EIO', 'more comes of it than it says');
    const bytes = this.last().subarray(0, length);
    if (this.#crc !== undefined) this.#sum = crc32(bytes, this.#sum);
    this.put(bytes);
  }

  /** Everything has come. @throws BlockError EIO it is not what it should be. */
  finish(): void {
    if (this.#crc !== undefined && this.#sum !== this.#crc) {
      throw new BlockError('EIO', 'it is damaged: its CRC is wrong');
    }
  }
}

/** Memory that must be filled. */
export class MemorySink extends Counted {
  readonly #bytes: Uint8Array;
  #room: Uint8Array = new Uint8Array(0);

  constructor(bytes: Uint8Array, crc: number | undefined, check: () => void) {
    super(bytes.length, crc, check);
    this.#bytes = bytes;
  }

  room(): Uint8Array {
    const left = this.most - this.done;
    // A byte too many has to be seen.
    this.#room =
      left > 0
        ? this.#bytes.subarray(this.done, this.done + Math.min(left, PIECE))
        : new Uint8Array(1);
    return this.#room;
  }

  protected last(): Uint8Array {
    return this.#room;
  }

  protected put(): void {}

  override finish(): void {
    if (this.done < this.most) throw new BlockError('EIO', 'less comes of it than it says');
    super.finish();
  }
}

/** A part of a file of zeroes, which stays sparse where zeroes come. */
export class FileSink extends Counted {
  readonly #fd: number;
  readonly #offset: number;
  readonly #piece = Buffer.allocUnsafeSlow(PIECE);
  #used = 0;

  /** @param most bytes; all that come unless told. */
  constructor(
    { fd, offset, most = Number.MAX_SAFE_INTEGER }: { fd: number; offset: number; most?: number },
    crc: number | undefined,
    check: () => void,
  ) {
    super(most, crc, check);
    this.#fd = fd;
    this.#offset = offset;
  }

  room(): Uint8Array {
    return this.#piece.subarray(this.#used);
  }

  protected last(): Uint8Array {
    return this.room();
  }

  protected put(bytes: Uint8Array): void {
    this.#used += bytes.length;
    if (this.#used === PIECE) this.#write();
  }

  override finish(): void {
    this.#write();
    super.finish();
  }

  #write(): void {
    const start = this.#offset + this.done - this.#used;
    let from = 0;
    for (let at = 0; at < this.#used; at += GRAIN) {
      const grain = this.#piece.subarray(at, Math.min(at + GRAIN, this.#used));
      if (!isZero(grain)) continue;
      this.#writeAll(from, at, start);
      from = at + grain.length;
    }
    this.#writeAll(from, this.#used, start);
    this.#used = 0;
  }

  #writeAll(from: number, to: number, start: number): void {
    for (let at = from; at < to; ) at += writeSync(this.#fd, this.#piece, at, to - at, start + at);
  }
}
