import { viewsOf, zeroes } from '../block/data.ts';
import type { Data, Memory } from '../block/device.ts';
import { BlockError } from '../block/errors.ts';
import { ProtocolError } from '../protocol/errors.ts';

/** A part of a read's answer, relative to its start. */
interface Segment {
  readonly start: number;
  readonly length: number;
  readonly hole: boolean;
}

/** Honest servers send no more chunks than a few and one for each sector. */
const SECTOR = 512;
const FREE_CHUNKS = 64;
/** Where all bytes go that nobody wants any more. */
const WASTE = Buffer.allocUnsafeSlow(1 << 16);

/** What short answers are cut from, in bytes: one that is kept keeps all of it. */
const COMMON = 1 << 15;
const LONGEST_CUT = 1 << 12;
let common: Buffer = Buffer.alloc(0);
/** So much of it is given out. */
let cut = 0;

/** The answer to one read as it comes in, in one piece or in chunks in any order. */
export class Reading {
  readonly #length: number;
  readonly #give: Memory | undefined;
  #memory: Uint8Array | undefined;
  readonly #segments: Segment[] = [];
  #covered = 0;
  #discarding = false;
  #failure: unknown;

  constructor(length: number, give: Memory | undefined) {
    this.#length = length;
    this.#give = give;
  }

  /**
   * Where the bytes of a data chunk go.
   * @throws ProtocolError the chunk is not within the request, or there are too many.
   */
  data(start: number, length: number): Data {
    this.#add({ start, length, hole: false });
    if (!this.#discarding) this.#memory ??= this.#take();
    if (this.#discarding) return waste(length);
    return this.#memory!.subarray(start, start + length);
  }

  /**
   * The bytes of a data chunk are in shared memory.
   * @param slot that memory, unless it is the caller's.
   * @throws ProtocolError as for `data`.
   */
  placed(start: number, length: number, slot: Uint8Array | undefined): void {
    this.data(start, length);
    if (slot && !this.#discarding) this.#memory!.set(slot.subarray(start, start + length), start);
  }

  /** @throws ProtocolError as for `data`. */
  hole(start: number, length: number): void {
    this.#add({ start, length, hole: true });
  }

  /** Nothing that is still to come is put into the memory of whoever reads. */
  discard(): void {
    this.#discarding = true;
  }

  /** Why there was no memory for the answer. */
  get failure(): unknown {
    return this.#failure;
  }

  /** The memory; undefined when there is none to be had, which must not cost the connection. */
  #take(): Uint8Array | undefined {
    try {
      const memory = this.#give?.(this.#length) ?? allocate(this.#length);
      if (memory.length === this.#length) return memory;
      const words = `the memory for ${this.#length} bytes has ${memory.length}`;
      throw new BlockError('EINVAL', words);
    } catch (error) {
      this.#failure = error ?? new BlockError('ENOMEM', 'no memory was given');
      this.#discarding = true;
      return undefined;
    }
  }

  /**
   * All of the bytes, unless they were discarded; a hole comes as known zeroes.
   * @throws ProtocolError chunks overlap or something is missing.
   */
  result(): Data {
    if (this.#covered !== this.#length) {
      throw new ProtocolError(`the server sent ${this.#covered} of ${this.#length} bytes`);
    }
    if (this.#discarding) return [];
    if (this.#segments.length === 1) {
      return this.#segments[0]!.hole ? zeroes(this.#length) : this.#memory!;
    }
    this.#segments.sort((a, b) => a.start - b.start);
    const views: Uint8Array[] = [];
    let at = 0;
    for (const { start, length, hole } of this.#segments) {
      if (start !== at) throw new ProtocolError('the server sent chunks that overlap');
      if (hole) views.push(...viewsOf(zeroes(length)));
      else views.push(this.#memory!.subarray(start, start + length));
      at += length;
    }
    return views;
  }

  #add(segment: Segment): void {
    const { start, length } = segment;
    if (start < 0 || length < 1 || start + length > this.#length) {
      throw new ProtocolError('the server sent a chunk outside of the request');
    }
    this.#segments.push(segment);
    this.#covered += length;
    if (this.#covered > this.#length) {
      throw new ProtocolError('the server sent chunks that overlap');
    }
    if (this.#segments.length > FREE_CHUNKS + this.#length / SECTOR) {
      throw new ProtocolError('the server sent too many chunks');
    }
  }
}

/**
 * Memory for a caller's own bytes. Short ones are cut from a piece that others have parts of, too, as
 * Buffer.allocUnsafe does it: memory of its own for each costs a quarter of the time of a 4-KiB read.
 * @throws BlockError ENOMEM.
 */
export function allocate(length: number): Buffer {
  if (length > LONGEST_CUT) return allocateAlone(length);
  if (cut + length > common.length) {
    common = allocateAlone(COMMON);
    cut = 0;
  }
  const bytes = common.subarray(cut, cut + length);
  cut = (cut + length + 7) & ~7;
  return bytes;
}

function allocateAlone(length: number): Buffer {
  try {
    return Buffer.allocUnsafeSlow(length);
  } catch (error) {
    throw new BlockError('ENOMEM', `there is no memory for ${length} bytes`, { cause: error });
  }
}

function waste(length: number): Uint8Array[] {
  const views: Uint8Array[] = Array(Math.floor(length / WASTE.length)).fill(WASTE);
  const rest = length % WASTE.length;
  if (rest > 0) views.push(WASTE.subarray(0, rest));
  return views;
}
