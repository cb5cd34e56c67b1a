import type { BlockDevice } from '../../src/block/device.ts';
import { BlockError } from '../../src/block/errors.ts';

const PAGE = 4096;
/** More than any file of a test needs. */
const MOST_BYTES = 256n << 20n;
/** More than anybody needs to read at once of a file that may say anything. */
const MOST_READ = 64 << 20;

/** Changes over bytes that are never changed, so that many files begin as the same one. */
export class OverlayMemory implements BlockDevice {
  /** What it began as. */
  readonly base: Buffer;
  readonly #pages = new Map<number, Buffer>();
  #length: number;
  /** Behind it the base is forgotten. */
  #shown: number;

  constructor(base: Buffer) {
    this.base = base;
    this.#length = this.#shown = base.length;
  }

  get size(): bigint {
    return BigInt(this.#length);
  }

  /** @throws RangeError outside of the file, or more than there is memory for. */
  read(offset: bigint, length: number): Buffer {
    const start = this.#within(offset, length);
    if (length > MOST_READ) throw new RangeError(`${length} bytes at once`);
    const bytes = Buffer.allocUnsafe(length);
    for (let at = start; at < start + length; ) {
      const page = Math.floor(at / PAGE);
      const end = Math.min(start + length, (page + 1) * PAGE);
      const changed = this.#pages.get(page);
      if (changed) changed.copy(bytes, at - start, at - page * PAGE, end - page * PAGE);
      else this.#copyBase(bytes.subarray(at - start, end - start), at);
      at = end;
    }
    return bytes;
  }

  /** @throws RangeError outside of the file. */
  write(offset: bigint, data: Uint8Array): void {
    const start = this.#within(offset, data.length);
    for (let at = start; at < start + data.length; ) {
      const page = Math.floor(at / PAGE);
      const end = Math.min(start + data.length, (page + 1) * PAGE);
      this.#changed(page).set(data.subarray(at - start, end - start), at - page * PAGE);
      at = end;
    }
  }

  /** Changes bytes in their place, if they are there. */
  change(at: number, length: number, act: (bytes: Buffer) => void): void {
    if (at < 0 || at + length > this.#length) return;
    const bytes = this.read(BigInt(at), length);
    act(bytes);
    this.write(BigInt(at), bytes);
  }

  flush(): void {}

  resize(size: bigint): void {
    if (size > MOST_BYTES) throw new BlockError('ENOSPC', `${size} bytes are too many`);
    const length = Number(size);
    if (length < this.#length) this.#cut(length);
    this.#length = length;
  }

  #cut(length: number): void {
    this.#shown = Math.min(this.#shown, length);
    const last = Math.floor(length / PAGE);
    for (const page of this.#pages.keys()) if (page > last) this.#pages.delete(page);
    this.#pages.get(last)?.fill(0, length - last * PAGE);
  }

  #within(offset: bigint, length: number): number {
    const start = Number(offset);
    if (start >= 0 && start + length <= this.#length) return start;
    throw new RangeError(`${length} bytes at ${offset} of ${this.#length}`);
  }

  #changed(page: number): Buffer {
    let bytes = this.#pages.get(page);
    if (!bytes) {
      bytes = Buffer.allocUnsafe(PAGE);
      this.#copyBase(bytes, page * PAGE);
      this.#pages.set(page, bytes);
    }
    return bytes;
  }

  #copyBase(into: Buffer, at: number): void {
    const there = Math.max(0, Math.min(into.length, this.#shown - at));
    if (there > 0) this.base.copy(into, 0, at, at + there);
    into.fill(0, there);
  }
}
