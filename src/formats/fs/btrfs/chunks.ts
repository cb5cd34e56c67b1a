import { damaged, unsupported } from '../damaged.ts';

const PROFILE = {
  raid0: 8n,
  raid1: 16n,
  dup: 32n,
  raid10: 64n,
  raid5: 128n,
  raid6: 256n,
  c3: 512n,
  c4: 1024n,
};
/** Of these one device has all of a chunk. */
const WHOLE = PROFILE.raid1 | PROFILE.dup | PROFILE.c3 | PROFILE.c4;
const HEAD = 48;
const STRIPE = 32;

/** A range of logical addresses, and where it lies on the device. */
interface Chunk {
  readonly start: bigint;
  readonly end: bigint;
  readonly place: bigint;
  /** What is in it, and how it is kept. */
  readonly type: bigint;
  /** On this device. */
  readonly copies: bigint;
}

/** Where logical addresses are on one device. */
export class Chunks {
  readonly #chunks: Chunk[] = [];

  /**
   * Takes a chunk item.
   * @param device the number of the device that is there. @throws BlockError EIO, ENOTSUP
   */
  add(start: bigint, item: Buffer, device: bigint): number {
    const bad = (why: string) => damaged('btrfs: chunk', why);
    if (item.length < HEAD + STRIPE) throw bad('it is cut short');
    const length = item.readBigUInt64LE(0);
    const type = item.readBigUInt64LE(24);
    const count = item.readUInt16LE(44);
    const end = HEAD + count * STRIPE;
    if (count === 0 || end > item.length || length === 0n) throw bad(`${count} stripes in it`);
    const striped = type & ~WHOLE & 0x7f8n;
    if (striped !== 0n && count > 1)
      throw unsupported('btrfs', 'a file system in stripes over several devices');
    const stripes = Array.from({ length: count }, (_, index) =>
      item.subarray(HEAD + index * STRIPE),
    );
    const own = stripes.filter(stripe => stripe.readBigUInt64LE(0) === device);
    if (own.length > 0) {
      const place = own[0]!.readBigUInt64LE(8);
      this.#insert({ start, end: start + length, place, type, copies: BigInt(own.length) });
    }
    return end;
  }

  /** All chunks, with their lengths. */
  list(): readonly (Chunk & { readonly length: bigint })[] {
    return this.#chunks.map(chunk => ({ ...chunk, length: chunk.end - chunk.start }));
  }

  #insert(chunk: Chunk): void {
    const index = this.#after(chunk.start);
    // Those of the superblock come again in their tree.
    if (this.#chunks[index - 1]?.start === chunk.start) return;
    this.#chunks.splice(index, 0, chunk);
  }

  #after(address: bigint): number {
    let [low, high] = [0, this.#chunks.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#chunks[middle]!.start <= address) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** The place of a logical range, in bytes, which lies in one chunk. @throws BlockError EIO */
  place(address: bigint, length: number, what: string): number {
    const chunk = this.#chunks[this.#after(address) - 1];
    if (!chunk || address + BigInt(length) > chunk.end) {
      throw damaged(what, `nothing is at the logical address ${address}`);
    }
    return Number(chunk.place + (address - chunk.start));
  }
}
