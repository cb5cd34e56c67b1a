import { viewsOf, zeroes } from '../block/data.ts';
import type { Data, Memory } from '../block/device.ts';
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

/** The answer to one read as it comes in, in one piece or in chunks in any order. */
export class Reading {
  readonly #length: number;
  readonly #give: Memory | undefined;
  #memory: Uint8Array | undefined;
  readonly #segments: Segment[] = [];
  #covered = 0;

  constructor(length: number, give: Memory | undefined) {
    this.#length = length;
    this.#give = give;
  }

  /**
   * Where the bytes of a data chunk go.
   * @throws ProtocolError the chunk is not within the request, or there are too many.
   */
  data(start: number, length: number): Uint8Array {
    this.#add({ start, length, hole: false });
    this.#memory ??= this.#give?.(this.#length) ?? Buffer.allocUnsafeSlow(this.#length);
    return this.#memory.subarray(start, start + length);
  }

  /** @throws ProtocolError as for `data`. */
  hole(start: number, length: number): void {
    this.#add({ start, length, hole: true });
  }

  /**
   * All of the bytes; a hole comes as known zeroes.
   * @throws ProtocolError chunks overlap or something is missing.
   */
  result(): Data {
    if (this.#covered !== this.#length) {
      throw new ProtocolError(`the server sent ${this.#covered} of ${this.#length} bytes`);
    }
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
