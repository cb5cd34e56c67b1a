import { andThen } from '../block/answer.ts';
import { BlockCache, Budget } from '../block/block-cache.ts';
import { readInto } from '../block/read-into.ts';
import type { ImageFile } from './image-file.ts';

/** A slice of a table with changes that are not in the file yet: from `from` to `to` in it. */
interface Changed {
  readonly bytes: Buffer;
  from: number;
  to: number;
}

const UNCHANGED = { from: Number.MAX_SAFE_INTEGER, to: 0 };

/** Changes of a slice as they were when they were taken. */
interface Taken {
  readonly start: number;
  readonly changed: Changed;
  readonly from: number;
  readonly bytes: Buffer;
}

/** Changes that were taken, to be written or given back. */
export interface TakenTables {
  /** Writes them, after all that was taken before. @returns whether there was anything. */
  write(): Promise<boolean>;
  /** What was not written is changed as before. */
  giveBack(): void;
}

/**
 * Tables of an image in slices: those in use, as many as the budget allows, and those that were
 * changed, until they are written.
 */
export class TableCache {
  readonly #file: ImageFile;
  readonly #loaded: ((bytes: Buffer) => void) | undefined;
  /** Bytes of a slice, a power of two. */
  readonly slice: number;
  readonly #kept: BlockCache<number, Buffer>;
  readonly #changed = new Map<number, Changed>();
  #writing: Promise<unknown> = Promise.resolve();

  /** @param loaded looks at what was read. */
  constructor(file: ImageFile, slice: number, budget: number, loaded?: (bytes: Buffer) => void) {
    this.#file = file;
    this.#loaded = loaded;
    this.slice = slice;
    this.#kept = new BlockCache(new Budget(budget));
  }

  /** Bytes that wait to be written. */
  get waiting(): number {
    return this.#changed.size * this.slice;
  }

  /** The slice that begins there, to be looked at now. @param start a multiple of the slice. */
  get(start: number): Buffer | PromiseLike<Buffer> {
    const changed = this.#changed.get(start);
    if (changed) return changed.bytes;
    return this.#kept.get(start, options => {
      const reading = this.#file.reads.during(this.#file.bytes(start, this.slice, options));
      const loaded = this.#loaded;
      return loaded
        ? andThen(reading, bytes => {
            loaded(bytes);
            return bytes;
          })
        : reading;
    });
  }

  /**
   * All slices of a table, read at once; those that were not in memory are not kept.
   * @param bytes of the caller's, as long as the table, where they are.
   */
  async all(start: number, bytes: Buffer): Promise<Buffer[]> {
    await readInto(this.#file, BigInt(start), bytes);
    return Array.from({ length: bytes.length / this.slice }, (_, index) => {
      const at = index * this.slice;
      const kept = this.peek(start + at);
      if (kept) return kept;
      const slice = bytes.subarray(at, at + this.slice);
      this.#loaded?.(slice);
      return slice;
    });
  }

  /** The slice that begins there, if it is in memory. */
  peek(start: number): Buffer | undefined {
    return this.#changed.get(start)?.bytes ?? this.#kept.peek(start);
  }

  /**
   * Changes `length` bytes from `from` on of the slice that begins there. They are changed as they are
   * noted: what is written in between would lack the change, and nobody would know.
   * @returns what `change` gives.
   */
  edit<T>(
    start: number,
    from: number,
    length: number,
    change: (slice: Buffer) => T,
  ): T | PromiseLike<T> {
    return andThen(this.get(start), (read): T => {
      const changed = this.#changed.get(start) ?? { bytes: read, from, to: from };
      changed.from = Math.min(changed.from, from);
      changed.to = Math.max(changed.to, from + length);
      this.#changed.set(start, changed);
      return change(changed.bytes);
    });
  }

  /** New tables in the place of whatever was there. @param start a multiple of the slice. */
  create(start: number, bytes: Buffer): void {
    for (let at = 0; at < bytes.length; at += this.slice) {
      const slice = bytes.subarray(at, at + this.slice);
      this.#kept.delete(start + at);
      this.#changed.set(start + at, { bytes: slice, from: 0, to: slice.length });
    }
  }

  /** Takes what is changed now, for it to be written later: no change that comes in between. */
  take(): TakenTables {
    const taken: Taken[] = [];
    for (const [start, changed] of this.#changed) {
      const { from, to } = changed;
      if (to === 0) continue;
      taken.push({ start, changed, from, bytes: Buffer.from(changed.bytes.subarray(from, to)) });
      Object.assign(changed, UNCHANGED);
    }
    taken.sort((a, b) => a.start - b.start);
    return {
      write: () => {
        // Not before what was taken earlier, nor is that forgotten by whoever waits for all.
        const written = this.#writing.then(() => this.#write(taken));
        this.#writing = written.catch(() => {});
        return written;
      },
      giveBack: () => {
        for (const { changed, from, bytes } of taken.splice(0)) {
          changed.from = Math.min(changed.from, from);
          changed.to = Math.max(changed.to, from + bytes.length);
        }
      },
    };
  }

  /** Writes what is changed now. @returns whether there was anything. */
  async write(): Promise<boolean> {
    const taken = this.take();
    try {
      return await taken.write();
    } finally {
      taken.giveBack();
    }
  }

  async #write(taken: Taken[]): Promise<boolean> {
    const some = taken.length > 0;
    for (let next = taken[0]; next; next = taken[0]) {
      const { start, changed, from, bytes } = next;
      await this.#file.write(BigInt(start + from), bytes);
      taken.shift();
      if (changed.to !== 0 || this.#changed.get(start) !== changed) continue;
      this.#changed.delete(start);
      void this.#kept.get(start, () => changed.bytes);
    }
    return some;
  }
}
