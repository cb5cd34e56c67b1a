import type { Mapping } from '../../posix/mapping.ts';

/** Bytes of a slot, and how many there are; python-host.py knows the first. */
export const SLOT = 1 << 20;
export const SLOTS = 16;

/** Memory that is shared with an interpreter, in which the data of reads and writes go over. */
export class Slots {
  readonly #mapping: Mapping;
  /** The one used last comes first: it is in the processor's cache. */
  readonly #free = Array.from({ length: SLOTS }, (_, index) => SLOTS - 1 - index);

  constructor(mapping: Mapping) {
    this.#mapping = mapping;
  }

  /** A slot for so many bytes; undefined when that is too much, or all are taken. */
  take(length: number): number | undefined {
    return length > SLOT ? undefined : this.#free.pop();
  }

  give(slot: number): void {
    this.#free.push(slot);
  }

  put(slot: number, bytes: Uint8Array): void {
    this.#mapping.view(slot * SLOT, bytes.length).set(bytes);
  }

  /** Fills `bytes` with the beginning of a slot. */
  get(slot: number, bytes: Uint8Array): Uint8Array {
    bytes.set(this.#mapping.view(slot * SLOT, bytes.length));
    return bytes;
  }
}
