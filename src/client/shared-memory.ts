import { closeSync } from 'node:fs';
import { Mapping } from '../posix/mapping.ts';

/** Memory of a connection unless said: more than this under way leaves the processor's cache. */
const SIZE = 1 << 24;
/** What is given out is in whole blocks of so many bytes. */
const BLOCK = 1 << 16;
/** Shorter payloads are as quick on the socket. */
export const SHORTEST_SHARED = 1 << 14;

/**
 * Memory that servers on this machine read from and write to, so that payloads need not go through
 * the socket. Whoever is shown it may change any of it at any moment.
 */
export class SharedMemory {
  readonly fd: number;
  readonly #mapping: Mapping;
  /** Of each block, whether it is given out. */
  readonly #taken: Uint8Array;
  readonly #bytes: ArrayBufferLike;
  #next = 0;

  private constructor(mapping: Mapping, fd: number) {
    this.fd = fd;
    this.#mapping = mapping;
    this.#taken = new Uint8Array(mapping.place.length / BLOCK);
    this.#bytes = mapping.view(0, 1).buffer;
  }

  /** @param size in bytes, a multiple of 64 KiB. @returns undefined where the system cannot. */
  static create(size = SIZE): SharedMemory | undefined {
    const shared = Mapping.shared(size);
    return shared && new SharedMemory(shared.mapping, shared.fd);
  }

  /** Bytes. */
  get size(): number {
    return this.#mapping.place.length;
  }

  /** Memory that nobody else has been given; undefined when there is no such piece left. */
  take(length: number): Buffer | undefined {
    const blocks = Math.ceil(length / BLOCK);
    const first = this.#find(blocks, this.#next) ?? this.#find(blocks, 0);
    if (first === undefined) return undefined;
    this.#taken.fill(1, first, first + blocks);
    this.#next = first + blocks;
    return this.#mapping.view(first * BLOCK, length);
  }

  #find(blocks: number, from: number): number | undefined {
    const taken = this.#taken;
    for (let first = from; first + blocks <= taken.length; ) {
      const hurdle = taken.subarray(first, first + blocks).lastIndexOf(1);
      if (hurdle < 0) return first;
      first += hurdle + 1;
    }
    return undefined;
  }

  /** Gives back what `take` gave: no server uses it any more. */
  give(bytes: Uint8Array): void {
    const first = bytes.byteOffset / BLOCK;
    this.#taken.fill(0, first, first + Math.ceil(bytes.length / BLOCK));
    if (first < this.#next) this.#next = first;
  }

  /** Where these bytes are in the memory; undefined when they are elsewhere. */
  placeOf(bytes: Uint8Array): number | undefined {
    return bytes.buffer === this.#bytes ? bytes.byteOffset : undefined;
  }

  /** No further server is shown it. It stays for as long as a view of it is used. */
  close(): void {
    closeSync(this.fd);
  }
}
