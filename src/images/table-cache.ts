import { andThen } from '../block/answer.ts';
import { BlockCache, Budget } from '../block/block-cache.ts';
import type { ImageFile } from './image-file.ts';

/** A slice of a table with changes that are not in the file yet: from `from` to `to` in it. */
interface Changed {
  readonly bytes: Buffer;
  from: number;
  to: number;
}

/**
 * Tables of an image in slices: those in use, as many as the budget allows, and those that were
 * changed, until they are written.
 */
export class TableCache {
  readonly #file: ImageFile;
  /** Bytes of a slice, a power of two. */
  readonly slice: number;
  readonly #kept: BlockCache<number, Buffer>;
  readonly #changed = new Map<number, Changed>();

  constructor(file: ImageFile, slice: number, budget: number) {
    this.#file = file;
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
    return this.#kept.get(start, options => this.#file.bytes(start, this.slice, options));
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

  /** Forgets what was there, which is not in use any more. */
  forget(start: number, length: number): void {
    for (let at = start; at < start + length; at += this.slice) {
      this.#kept.delete(at);
      this.#changed.delete(at);
    }
  }

  /** Forgets what is unchanged in memory, as the file was changed below. */
  clear(): void {
    this.#kept.clear();
    this.#changed.clear();
  }

  /** Writes what was changed. @returns whether there was anything. */
  async write(): Promise<boolean> {
    const changes = [...this.#changed].sort(([a], [b]) => a - b);
    for (const [start, changed] of changes) {
      const { bytes, from, to } = changed;
      changed.from = bytes.length;
      changed.to = 0;
      try {
        // A copy: it may be changed again meanwhile.
        await this.#file.write(BigInt(start + from), Buffer.from(bytes.subarray(from, to)));
      } catch (error) {
        changed.from = Math.min(changed.from, from);
        changed.to = Math.max(changed.to, to);
        throw error;
      }
      if (changed.to === 0 && this.#changed.get(start) === changed) {
        this.#changed.delete(start);
        void this.#kept.get(start, () => bytes);
      }
    }
    return changes.length > 0;
  }
}
