import { readFileSync } from 'node:fs';
import type { Call } from '../../block/around.ts';
import { parseSize } from '../../block/size.ts';
import { Bucket } from './bucket.ts';

export interface LimitOptions {
  /** Bits a second; 0 for no limit. */
  readonly rate: number;
  /** Seconds at the rate that may go at once. */
  readonly burst: number;
  /** Says another rate, as a size, when there is such a file. */
  readonly file: string | undefined;
  debug(message: string): void;
}

/** How fast reads may be, and writes. */
export class Limit {
  readonly #reads: Bucket;
  readonly #writes: Bucket;
  readonly #options: LimitOptions;

  constructor(options: LimitOptions) {
    this.#options = options;
    this.#reads = new Bucket(options.rate, options.burst);
    this.#writes = new Bucket(options.rate, options.burst);
  }

  /** Waits until a read or write may go. */
  wait({ kind, length, options }: Call): void | Promise<void> {
    const bucket = kind === 'read' ? this.#reads : this.#writes;
    const rate = this.#rateNow();
    if (rate !== undefined && rate !== bucket.rate) {
      this.#options.debug(`rate adjusted from ${bucket.rate} to ${rate}`);
      bucket.rate = rate;
    }
    return bucket.take(length * 8, options?.signal);
  }

  /** What the file says; undefined while it says nothing that can be understood. */
  #rateNow(): number | undefined {
    const { file } = this.#options;
    if (file === undefined) return undefined;
    try {
      return Number(parseSize(readFileSync(file, 'utf8').split('\n')[0]!));
    } catch {
      return undefined;
    }
  }
}
