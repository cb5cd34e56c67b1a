import { BlockError } from '../block/errors.ts';
import { BadAnswer } from './errors.ts';

/** Takes the bytes of a body as they come. What its methods throw ends the request. */
export interface Sink {
  /** Where the next bytes go; none: there should be no more. */
  space(): Uint8Array;
  /** So many have come there. */
  received(count: number): void;
}

const SCRATCH = Buffer.allocUnsafeSlow(1 << 16);

/** Puts a body into memory; `count` of its bytes have come. */
export class IntoMemory implements Sink {
  count = 0;
  readonly #memory: Uint8Array;

  constructor(memory: Uint8Array) {
    this.#memory = memory;
  }

  space(): Uint8Array {
    return this.#memory.subarray(this.count);
  }

  received(count: number): void {
    this.count += count;
  }
}

/** Collects a short body as text. @throws BlockError it is longer than that. */
export class AsText implements Sink {
  readonly #chunks: Buffer[] = [];
  readonly #limit: number;
  #length = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get text(): string {
    return Buffer.concat(this.#chunks).toString();
  }

  space(): Uint8Array {
    return SCRATCH;
  }

  received(count: number): void {
    this.#length += count;
    if (this.#length > this.#limit) {
      throw new BlockError('EIO', `an answer of more than ${this.#limit} bytes`);
    }
    this.#chunks.push(Buffer.from(SCRATCH.subarray(0, count)));
  }
}

/** What a sink throws that wants no more. */
export const ENOUGH = new Error('the rest of the body is not wanted');

/** Drops a short body, as the connection can then be used again, and the beginning of a long one. */
export class Dropped implements Sink {
  #left = 1 << 16;

  space(): Uint8Array {
    return SCRATCH.subarray(0, this.#left);
  }

  received(count: number): void {
    this.#left -= count;
    if (this.#left === 0) throw ENOUGH;
  }
}

/** Undoes the chunks in which a body of unknown length comes. */
export class Dechunker {
  readonly #sink: Sink;
  /** Bytes of the chunk that are to come, and of the line end after it. */
  #left = 0;
  #line = '';
  #isTrailer = false;

  constructor(sink: Sink) {
    this.#sink = sink;
  }

  /** Takes bytes; true: the body has ended with them. @throws BadAnswer they are no chunks. */
  take(bytes: Buffer): boolean {
    for (let at = 0; at < bytes.length; ) {
      if (this.#left > 0) at += this.#data(bytes.subarray(at, at + this.#left));
      else if (this.#character(bytes[at++]!)) return true;
    }
    return false;
  }

  #data(bytes: Buffer): number {
    const space = this.#sink.space();
    if (space.length === 0) throw new BadAnswer('the server sent more than it said');
    const count = Math.min(space.length, bytes.length);
    space.set(bytes.subarray(0, count));
    this.#sink.received(count);
    this.#left -= count;
    return count;
  }

  /** Of a line between chunks; true: it was the last one. */
  #character(code: number): boolean {
    if (code !== 0x0a) {
      this.#line += String.fromCharCode(code);
      if (this.#line.length > 4096) throw new BadAnswer('the answer has chunks that are none');
      return false;
    }
    const line = this.#line.trim();
    this.#line = '';
    // The empty line after a chunk, or after the last header.
    if (line === '') return this.#isTrailer;
    if (this.#isTrailer) return false;
    const [, digits] = /^([\da-f]{1,13})(?:;.*)?$/i.exec(line) ?? [];
    if (digits === undefined) throw new BadAnswer('the answer has chunks that are none');
    this.#left = Number.parseInt(digits, 16);
    this.#isTrailer = this.#left === 0;
    return false;
  }
}
