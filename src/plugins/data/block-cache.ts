/** Buffers made on demand and forgotten, least recently used first, beyond a number of bytes. */
export class BlockCache<K extends object> {
  readonly #room: number;
  readonly #blocks = new Map<K, Buffer>();
  #used = 0;

  constructor(room: number) {
    this.#room = room;
  }

  get(key: K, make: () => Buffer): Buffer {
    const known = this.#blocks.get(key);
    const block = known ?? make();
    if (known) this.#blocks.delete(key);
    else this.#used += block.length;
    this.#blocks.set(key, block);
    for (const [oldest, { length }] of this.#blocks) {
      if (this.#used <= this.#room || oldest === key) break;
      this.#blocks.delete(oldest);
      this.#used -= length;
    }
    return block;
  }
}
