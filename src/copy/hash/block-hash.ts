import { createHash } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { setImmediate as pause } from 'node:timers/promises';
import { isKnownZero, viewsOf } from '../../block/data.ts';
import type { Data } from '../../block/device.ts';
import { InOrder } from '../in-order.ts';
import type { CopyObserver } from '../observer.ts';
import type { Chunk } from '../work-queue.ts';
import { BlockDigests } from './digests.ts';
import type { HashForm } from './form.ts';
import { HashingThreads } from './threads.ts';

/** Blocks of zeroes that are hashed before anything else has its turn. */
const ZEROES_AT_ONCE = 1 << 16;

/**
 * The hash of a disk as blkhash has it: that of the digests of all its blocks, one after the other,
 * and of its length as 64 bits, little endian. Chunks come in any order and begin at a block each.
 */
export class BlockHash implements CopyObserver {
  readonly #blockSize: number;
  readonly #digests: BlockDigests;
  readonly #threads: HashingThreads;
  readonly #hash;
  readonly #ordered = new InOrder<Uint8Array | undefined>();
  #merging: Promise<void> | undefined;

  /** @param threads at most, that hash. */
  constructor(form: HashForm, threads = availableParallelism()) {
    this.#blockSize = form.blockSize;
    this.#digests = new BlockDigests(form);
    this.#threads = new HashingThreads(form, threads);
    this.#hash = createHash(form.digest);
  }

  async seen({ offset, length }: Chunk, data: Data | undefined): Promise<void> {
    const isData = data && !viewsOf(data).every(isKnownZero);
    const digests = isData ? await this.#threads.digestsOf(data) : undefined;
    this.#ordered.add(offset, length, digests);
    await this.#merge();
  }

  /** In hex, when all has been seen. */
  async value(): Promise<string> {
    await this.#merge();
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(this.#ordered.end);
    return this.#hash.update(length).digest('hex');
  }

  async close(): Promise<void> {
    await this.#threads.close();
  }

  #merge(): Promise<void> {
    this.#merging ??= this.#mergeAll().finally(() => {
      this.#merging = undefined;
    });
    return this.#merging;
  }

  async #mergeAll(): Promise<void> {
    for (let part = this.#ordered.take(); part; part = this.#ordered.take()) {
      if (part.value) this.#hash.update(part.value);
      else await this.#mergeZeroes(Number(part.length));
    }
  }

  async #mergeZeroes(length: number): Promise<void> {
    const blocks = Math.floor(length / this.#blockSize);
    for (let left = blocks; left > 0; left -= ZEROES_AT_ONCE) {
      this.#hash.update(this.#digests.ofZeroes(Math.min(left, ZEROES_AT_ONCE)));
      if (left > ZEROES_AT_ONCE) await pause();
    }
    const rest = length - blocks * this.#blockSize;
    if (rest > 0) this.#hash.update(this.#digests.of(Buffer.alloc(rest)));
  }
}
