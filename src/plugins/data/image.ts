import { BlockCache, Budget } from '../../block/block-cache.ts';
import { zeroes } from '../../block/data.ts';
import type { Data } from '../../block/device.ts';

/** Contents of a disk kept as a formula: what repeats is kept once, holes take nothing. */
export interface Image {
  /** Bytes. */
  readonly size: bigint;
  /** How many images stand in one another. */
  readonly depth: number;
  /** Adds views of `length` bytes from `offset` on; both lie inside. */
  collect(offset: bigint, length: number, views: Uint8Array[]): void;
  /**
   * Calls with the runs from `offset` to `end` in order, until it is told `false`.
   * What has several kinds within less than `GRAIN` bytes counts as data.
   */
  walk(offset: bigint, end: bigint, run: RunVisitor): boolean;
}

/** Nothing was put there; zeroes were; other bytes were. The later ones win within a block. */
export const KINDS = ['hole', 'zero', 'data'] as const;
export type Kind = (typeof KINDS)[number];

export type RunVisitor = (length: bigint, kind: Kind) => boolean;

/** Bytes. */
export const GRAIN = 32768n;

const BLOCK = 256 << 10;
const blocks = new BlockCache<RepeatedImage, Buffer, Buffer>(new Budget(32 << 20));

/** Bytes of an image: zero-copy where that gives few views, else joined. */
export function readImage(image: Image, offset: bigint, length: number): Data {
  const views: Uint8Array[] = [];
  image.collect(offset, length, views);
  if (views.length === 1) return views[0]!;
  return views.length > 16 + length / 4096 ? Buffer.concat(views, length) : views;
}

/** Nothing but zeroes, that were put there or not. */
export class ZeroImage implements Image {
  readonly size: bigint;
  readonly depth = 0;
  readonly kind: Kind = 'zero';

  constructor(size: bigint) {
    this.size = size;
  }

  collect(_offset: bigint, length: number, views: Uint8Array[]): void {
    const data = zeroes(length);
    if (data instanceof Uint8Array) views.push(data);
    else for (const view of data) views.push(view);
  }

  walk(offset: bigint, end: bigint, run: RunVisitor): boolean {
    return run(end - offset, this.kind);
  }
}

/** Nothing. */
export class HoleImage extends ZeroImage {
  override readonly kind = 'hole';
}

/** Bytes in memory. */
export class LiteralImage implements Image {
  readonly bytes: Uint8Array;
  readonly size: bigint;
  readonly depth = 0;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.size = BigInt(bytes.length);
  }

  collect(offset: bigint, length: number, views: Uint8Array[]): void {
    const start = Number(offset);
    views.push(this.bytes.subarray(start, start + length));
  }

  walk(offset: bigint, end: bigint, run: RunVisitor): boolean {
    return run(end - offset, 'data');
  }
}

/** One image over and over. */
export class RepeatedImage implements Image {
  readonly of: Image;
  readonly count: bigint;
  readonly size: bigint;
  readonly depth: number;

  constructor(of: Image, count: bigint) {
    this.of = of;
    this.count = count;
    this.size = of.size * count;
    this.depth = of.depth + 1;
  }

  collect(offset: bigint, length: number, views: Uint8Array[]): void {
    if (this.of.size <= BLOCK / 4) {
      this.#collectFromBlock(offset, length, views);
      return;
    }
    let within = offset % this.of.size;
    for (let left = length; left > 0; within = 0n) {
      const room = this.of.size - within;
      const part = Number(smaller(room, BigInt(left)));
      this.of.collect(within, part, views);
      left -= part;
    }
  }

  #collectFromBlock(offset: bigint, length: number, views: Uint8Array[]): void {
    const block = blocks.get(this, () => this.#makeBlock());
    let within = Number(offset % this.of.size);
    for (let left = length; left > 0; within = 0) {
      const view = block.subarray(within, within + left);
      views.push(view);
      left -= view.length;
    }
  }

  /** As many repetitions as fit, so that one view shows many. */
  #makeBlock(): Buffer {
    const period = Number(this.of.size);
    const fitting = Math.floor(BLOCK / period);
    const times = Number(smaller(this.count, BigInt(fitting)));
    const views: Uint8Array[] = [];
    this.of.collect(0n, period, views);
    return Buffer.alloc(period * times, Buffer.concat(views, period));
  }

  walk(offset: bigint, end: bigint, run: RunVisitor): boolean {
    if (this.of.size < GRAIN) return run(end - offset, 'data');
    let at = offset;
    while (at < end) {
      const within = at % this.of.size;
      const room = this.of.size - within;
      const part = smaller(room, end - at);
      if (!this.of.walk(within, within + part, run)) return false;
      at += part;
    }
    return true;
  }
}

/** A part of an image. */
export class SlicedImage implements Image {
  readonly of: Image;
  readonly start: bigint;
  readonly size: bigint;
  readonly depth: number;

  constructor(of: Image, start: bigint, size: bigint) {
    this.of = of;
    this.start = start;
    this.size = size;
    this.depth = of.depth + 1;
  }

  collect(offset: bigint, length: number, views: Uint8Array[]): void {
    this.of.collect(this.start + offset, length, views);
  }

  walk(offset: bigint, end: bigint, run: RunVisitor): boolean {
    return this.of.walk(this.start + offset, this.start + end, run);
  }
}

export interface Piece {
  readonly at: bigint;
  readonly image: Image;
}

/** Images at their places, in order and without overlap; holes between them. */
export class ComposedImage implements Image {
  readonly pieces: readonly Piece[];
  readonly size: bigint;
  readonly depth: number;

  constructor(pieces: readonly Piece[], size: bigint) {
    this.pieces = pieces;
    this.size = size;
    this.depth = 1 + pieces.reduce((most, { image }) => Math.max(most, image.depth), 0);
  }

  collect(offset: bigint, length: number, views: Uint8Array[]): void {
    const end = offset + BigInt(length);
    this.#parts(
      offset,
      end,
      (image, from, to) => {
        image.collect(from, Number(to - from), views);
        return true;
      },
      run => {
        new HoleImage(run).collect(0n, Number(run), views);
        return true;
      },
    );
  }

  walk(offset: bigint, end: bigint, run: RunVisitor): boolean {
    return this.#parts(
      offset,
      end,
      (image, from, to) => image.walk(from, to, run),
      hole => run(hole, 'hole'),
    );
  }

  /** Calls with the parts of the pieces between two offsets, and with the holes. */
  #parts(
    offset: bigint,
    end: bigint,
    part: (image: Image, from: bigint, to: bigint) => boolean,
    hole: (run: bigint) => boolean,
  ): boolean {
    let at = offset;
    for (let index = firstEndingAfter(this.pieces, offset); at < end; index++) {
      const piece = this.pieces[index];
      const next = piece ? smaller(piece.at, end) : end;
      if (next > at) {
        if (!hole(next - at)) return false;
        at = next;
      }
      if (!piece || at === end) continue;
      const pieceEnd = piece.at + piece.image.size;
      const to = smaller(pieceEnd, end);
      if (!part(piece.image, at - piece.at, to - piece.at)) return false;
      at = to;
    }
    return true;
  }
}

/** The index of the first piece that ends after an offset. */
export function firstEndingAfter(pieces: readonly Piece[], offset: bigint): number {
  let low = 0;
  let high = pieces.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const { at, image } = pieces[middle]!;
    if (at + image.size <= offset) low = middle + 1;
    else high = middle;
  }
  return low;
}

export function smaller(a: bigint, b: bigint): bigint {
  if (a < b) return a;
  return b;
}
