import type { BlockDevice, BlockSize } from '../../src/block/device.ts';
import { BlockError } from '../../src/block/errors.ts';

export interface StrictOptions {
  readonly blockSize?: BlockSize;
  /** It can be made longer. */
  readonly grows?: boolean;
  /** There is no `zero`. */
  readonly zeroes?: boolean;
}

/**
 * Bytes in memory as a device that refuses every request outside its size or its block size, answers
 * late, and says how much is under way.
 */
export class StrictDevice implements BlockDevice {
  bytes: Buffer;
  readonly blockSize: BlockSize | undefined;
  /** Requests now, and most at once. */
  underWay = 0;
  most = 0;
  /** Requests by what they are. */
  readonly counts = { read: 0, write: 0, zero: 0, flush: 0, resize: 0 };
  readonly zero?: NonNullable<BlockDevice['zero']>;
  readonly resize?: NonNullable<BlockDevice['resize']>;

  constructor(bytes: Buffer, { blockSize, grows = false, zeroes = true }: StrictOptions = {}) {
    this.bytes = bytes;
    this.blockSize = blockSize;
    if (zeroes) {
      this.zero = (offset, length) =>
        this.#answer('zero', offset, length, (start, end) => {
          this.bytes.fill(0, start, end);
        });
    }
    if (grows) {
      this.resize = size => {
        this.counts.resize += 1;
        const grown = Buffer.alloc(Number(size));
        this.bytes.copy(grown);
        this.bytes = grown;
      };
    }
  }

  get size(): bigint {
    return BigInt(this.bytes.length);
  }

  read(offset: bigint, length: number): Promise<Uint8Array> {
    this.#limit(length);
    return this.#answer('read', offset, length, (start, end) => this.bytes.subarray(start, end));
  }

  write(offset: bigint, data: Uint8Array): Promise<void> {
    this.#limit(data.length);
    return this.#answer('write', offset, data.length, start => {
      this.bytes.set(data, start);
    });
  }

  flush(): void {
    this.counts.flush += 1;
  }

  async #answer<T>(
    kind: 'read' | 'write' | 'zero',
    offset: bigint,
    length: number,
    act: (start: number, end: number) => T,
  ): Promise<T> {
    const start = Number(offset);
    const end = start + length;
    const block = this.blockSize?.minimum ?? 1;
    const endsWell = end % block === 0 || end === this.bytes.length;
    if (length < 1 || start < 0 || end > this.bytes.length || start % block !== 0 || !endsWell) {
      throw new BlockError('EINVAL', `${kind} of ${length} bytes at ${offset}`, { offset });
    }
    this.counts[kind] += 1;
    this.most = Math.max(this.most, ++this.underWay);
    await new Promise(resolve => setImmediate(resolve));
    this.underWay -= 1;
    return act(start, end);
  }

  #limit(length: number): void {
    if (length <= (this.blockSize?.maximum ?? length)) return;
    throw new BlockError('EINVAL', `${length} bytes are too many for one request`);
  }
}
