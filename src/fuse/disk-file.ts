import type { BlockDevice, Data, Extent, ReadOptions } from '../block/device.ts';
import { extentsOf, trimRange, zeroRange } from '../block/emulate.ts';
import { BlockError } from '../block/errors.ts';
import { FallocateMode, Seek } from './wire.ts';

/** The longest range that one request of a device may be of. */
const LONGEST = Number.MAX_SAFE_INTEGER;
/** Counting what is allocated may take so long, in ms. */
const PATIENCE = 200;
const SECTOR = 512n;

/** A disk, and what its file is called. */
export interface FileDisk {
  readonly name: string;
  readonly device: BlockDevice;
}

/** A disk as programs use it that know files only. */
export class DiskFile implements FileDisk {
  readonly name: string;
  readonly device: BlockDevice;
  readonly node: number;
  /** Bytes that are known to be holes; undefined: to be counted anew. */
  #holes: bigint | undefined;

  constructor({ name, device }: FileDisk, node: number) {
    this.name = name;
    this.device = device;
    this.node = node;
  }

  get writable(): boolean {
    return this.device.write !== undefined;
  }

  /** What there is of the range: less at the end, and nothing beyond it. */
  read(offset: bigint, length: number, options?: ReadOptions): Data | PromiseLike<Data> {
    const inside = this.#inside(offset, length);
    return inside === 0 ? [] : this.device.read(offset, inside, options);
  }

  /** @returns how many bytes of the data there is room for. @throws BlockError ENOSPC at the end. */
  write(offset: bigint, data: Uint8Array): number | PromiseLike<number> {
    const inside = this.#inside(offset, data.length);
    if (inside === 0 && data.length > 0) throw full();
    this.#holes = undefined;
    const answer = this.device.write!(offset, data.subarray(0, inside));
    return answer ? answer.then(() => inside) : inside;
  }

  flush(): void | PromiseLike<void> {
    return this.writable ? this.device.flush?.() : undefined;
  }

  /** @throws BlockError EOPNOTSUPP for what a disk cannot do; ENOSPC beyond the end. */
  async fallocate(mode: number, offset: bigint, length: bigint): Promise<void> {
    const { keepSize, punchHole, zeroRange: zero } = FallocateMode;
    const { size } = this.device;
    const past = offset + length > size;
    this.#holes = undefined;
    if (mode === (punchHole | keepSize)) {
      await inRanges(offset, past ? size : offset + length, (at, span) => this.#punch(at, span));
    } else if (mode === zero || mode === (zero | keepSize)) {
      if (past) throw full();
      await inRanges(offset, offset + length, (at, span) => zeroRange(this.device, at, span));
    } else {
      throw new BlockError('ENOTSUP', 'a disk has no space to set aside');
    }
  }

  /**
   * A hole reads as zeroes. Trimming is what servers free space by, but they need not: what is not
   * known to be zeroes then is zeroed.
   */
  async #punch(offset: bigint, length: number): Promise<void> {
    const { trim, zero, extents } = this.device;
    if (!trim && !zero) throw new BlockError('ENOTSUP', 'the disk cannot have holes');
    if (trim) await trimRange(this.device, offset, length);
    if (trim && extents && (await this.#isZero(offset, length))) return;
    await zeroRange(this.device, offset, length, { mayTrim: true });
  }

  async #isZero(offset: bigint, length: number): Promise<boolean> {
    for await (const { at, extent } of this.#extents(offset)) {
      if (!extent.zero) return at >= offset + BigInt(length);
      if (at + BigInt(extent.length) >= offset + BigInt(length)) break;
    }
    return true;
  }

  /** Where the next data or hole is from `offset` on; undefined where there is none. */
  async seek(offset: bigint, whence: number): Promise<bigint | undefined> {
    if (offset >= this.device.size) return undefined;
    for await (const { at, extent } of this.#extents(offset)) {
      if (extent.zero === (whence === Seek.hole)) return at;
    }
    // A hole follows the last byte.
    return whence === Seek.hole ? this.device.size : undefined;
  }

  /** Blocks of 512 bytes that the disk takes; what is not known in time counts as taken. */
  async blocks(): Promise<bigint> {
    if (this.device.extents) this.#holes ??= await this.#countHoles();
    return (this.device.size - (this.#holes ?? 0n) + SECTOR - 1n) / SECTOR;
  }

  async #countHoles(): Promise<bigint> {
    const end = performance.now() + PATIENCE;
    let holes = 0n;
    for await (const { extent } of this.#extents(0n)) {
      if (extent.hole) holes += BigInt(extent.length);
      if (performance.now() > end) break;
    }
    return holes;
  }

  /** All runs from `offset` on. */
  async *#extents(offset: bigint): AsyncGenerator<{ at: bigint; extent: Extent }> {
    const { size } = this.device;
    for (let at = offset; at < size; ) {
      const left = size - at < LONGEST ? Number(size - at) : LONGEST;
      const extents = await extentsOf(this.device, at, left);
      if (extents.length === 0) throw new BlockError('EIO', 'the device gave no extents');
      for (const extent of extents) {
        if (at >= size) return;
        yield { at, extent };
        at += BigInt(extent.length);
      }
    }
  }

  #inside(offset: bigint, length: number): number {
    const left = this.device.size - offset;
    return left >= length ? length : Math.max(0, Number(left));
  }
}

function full(): BlockError {
  return new BlockError('ENOSPC', 'the disk ends there');
}

async function inRanges(
  offset: bigint,
  end: bigint,
  act: (offset: bigint, length: number) => Promise<void>,
): Promise<void> {
  for (let at = offset; at < end; ) {
    const length = end - at < LONGEST ? Number(end - at) : LONGEST;
    await act(at, length);
    at += BigInt(length);
  }
}
