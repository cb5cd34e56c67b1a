import { contiguous, zeroes } from '../../block/data.ts';
import type { ZeroOptions } from '../../block/device.ts';
import { BlockError } from '../../block/errors.ts';
import { discardSectors, sectorSize, zeroSectors } from '../../posix/blkdev.ts';
import { punchHole, zeroRange } from '../../posix/fallocate.ts';
import type { OpenFile } from './open.ts';

/** Zeroes are written in pieces of this where nothing better works. */
const PIECE = 1 << 20;

type Way = (offset: bigint, length: number) => boolean | Promise<boolean>;

/** Zeroing and trimming of one open file; ways that the file system refuses are not tried again. */
export class Zeroing {
  readonly #file: OpenFile;
  readonly #write: (offset: bigint, data: Uint8Array) => void | Promise<void>;
  readonly #refused = new Set<Way>();
  #sectors: number | undefined;

  constructor(file: OpenFile, write: (offset: bigint, data: Uint8Array) => void | Promise<void>) {
    this.#file = file;
    this.#write = write;
  }

  /** @throws BlockError ENOTSUP when it would have to be slow and must not be. */
  async zero(offset: bigint, length: number, options: ZeroOptions = {}): Promise<void> {
    const ways = [this.#zeroRange];
    if (options.mayTrim) ways.unshift(this.#punch);
    if (this.#onSectors(offset, length)) ways.push(this.#zeroSectors);
    if (await this.#first(ways, offset, length)) return;
    if (options.fastZero) {
      throw new BlockError('ENOTSUP', 'the file system has no quick way to zero', { offset });
    }
    for (let done = 0; done < length; done += PIECE) {
      const piece = contiguous(zeroes(Math.min(PIECE, length - done)));
      await this.#write(offset + BigInt(done), piece);
    }
  }

  /** Only a hint: nothing happens where the file system cannot. */
  async trim(offset: bigint, length: number): Promise<void> {
    const ways = [this.#punch];
    if (this.#onSectors(offset, length)) ways.push(this.#discard);
    await this.#first(ways, offset, length);
  }

  readonly #punch: Way = (offset, length) => punchHole(this.#file.fd, offset, length);
  readonly #zeroRange: Way = (offset, length) => zeroRange(this.#file.fd, offset, length);
  readonly #zeroSectors: Way = (offset, length) => zeroSectors(this.#file.fd, offset, length);
  readonly #discard: Way = (offset, length) => discardSectors(this.#file.fd, offset, length);

  async #first(ways: readonly Way[], offset: bigint, length: number): Promise<boolean> {
    for (const way of ways) {
      if (this.#refused.has(way)) continue;
      if (await way(offset, length)) return true;
      this.#refused.add(way);
    }
    return false;
  }

  /** Whether the range is whole sectors of a block device. */
  #onSectors(offset: bigint, length: number): boolean {
    if (!this.#file.blockDevice) return false;
    this.#sectors ??= sectorSize(this.#file.fd);
    return offset % BigInt(this.#sectors) === 0n && length % this.#sectors === 0;
  }
}
