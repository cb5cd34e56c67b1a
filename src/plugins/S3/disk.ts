import { alignedDevice } from '../../block/aligned.ts';
import { allOf } from '../../block/all-of.ts';
import { zeroes } from '../../block/data.ts';
import type {
  BlockDevice,
  Data,
  Extent,
  ReadOptions,
  RequestOptions,
  ZeroOptions,
} from '../../block/device.ts';
import { BlockError, errnoOf } from '../../block/errors.ts';
import { ExtentList } from '../../block/extents.ts';
import { PASS, wrapDevice } from '../../block/wrap.ts';
import type { Pieces } from './bucket.ts';

/** Bytes that one request of the blocks below may carry, as far as a piece is not longer. */
const MOST = 1 << 26;
/** Pieces that are removed at once. */
const AT_ONCE = 64;

/** A disk in pieces; what is not there is zeroes. All connections must share it. */
export function diskInPieces(pieces: Pieces, size: bigint, piece: number): BlockDevice {
  const disk = new Disk(pieces, piece);
  const preferred = 2 ** Math.min(31, Math.floor(Math.log2(piece)));
  const most = Math.max(piece, MOST - (MOST % piece));
  const whole: BlockDevice = {
    size,
    multiConn: true,
    fua: 'native',
    fastZero: 'native',
    blockSize: { minimum: piece, preferred: piece, maximum: most },
    read: (offset, length, options) => disk.read(offset, length, options),
    write: (offset, data, options) => disk.write(offset, data, options),
    zero: (offset, length, options) => disk.remove(offset, length, options),
    trim: (offset, length, options) => disk.remove(offset, length, options),
    // An object is kept when the server says so.
    flush: () => {},
  };
  return wrapDevice(alignedDevice(whole), {
    ...PASS,
    blockSize: { minimum: 1, preferred, maximum: 2 ** 32 - 1, advisory: true },
    // A part of a piece can be read alone.
    read: whole.read,
    extents: (offset, length, options) => disk.extents(offset, length, options),
  });
}

/** Where in which piece. */
interface Within {
  readonly index: bigint;
  readonly start: number;
  /** Where in the request. */
  readonly at: number;
  readonly length: number;
}

class Disk {
  readonly #pieces: Pieces;
  readonly #piece: number;
  /** Who may read objects need not be allowed to list them. */
  #listed = true;

  constructor(pieces: Pieces, piece: number) {
    this.#pieces = pieces;
    this.#piece = piece;
  }

  async read(
    offset: bigint,
    length: number,
    { memory = Buffer.allocUnsafeSlow, signal }: ReadOptions = {},
  ): Promise<Data> {
    const target = memory(length);
    const reads = this.#cut(offset, length).map(async ({ index, start, at, length }) => {
      const part = target.subarray(at, at + length);
      return (await this.#pieces.read(index, start, part, { signal })) ? part : zeroes(length);
    });
    return (await allOf(reads)).flat();
  }

  /** Of whole pieces. */
  async write(offset: bigint, data: Uint8Array, options?: RequestOptions): Promise<void> {
    const { signal } = options ?? {};
    const writes = this.#cut(offset, data.length).map(({ index, at, length }) =>
      this.#pieces.write(index, data.subarray(at, at + length), { signal }),
    );
    await allOf(writes);
  }

  /** Of whole pieces. */
  async remove(offset: bigint, length: number, options?: ZeroOptions): Promise<void> {
    const first = offset / BigInt(this.#piece);
    const count = Math.ceil(length / this.#piece);
    const { signal } = options ?? {};
    for (let done = 0; done < count; done += AT_ONCE) {
      const removals = Array.from({ length: Math.min(AT_ONCE, count - done) }, (_, index) =>
        this.#pieces.remove(first + BigInt(done + index), { signal }),
      );
      await allOf(removals);
    }
  }

  /** Pieces that are there are data, whatever is in them. */
  async extents(offset: bigint, length: number, options?: RequestOptions): Promise<Extent[]> {
    const list = new ExtentList();
    const piece = BigInt(this.#piece);
    const end = offset + BigInt(length);
    const known = await this.#list(offset / piece, options);
    let at = offset;
    const upTo = (there: bigint, hole: boolean) => {
      const to = there < end ? there : end;
      if (to > at) list.add(Number(to - at), hole, hole);
      if (to > at) at = to;
    };
    for (const index of known?.found ?? []) {
      if (at >= end) break;
      upTo(index * piece, true);
      upTo((index + 1n) * piece, false);
    }
    if (known?.all) upTo(end, true);
    else if (list.length === 0) upTo(end, false);
    return list.extents;
  }

  async #list(from: bigint, options?: RequestOptions) {
    if (!this.#listed) return undefined;
    try {
      return await this.#pieces.list(from, { signal: options?.signal });
    } catch (error) {
      if (!(error instanceof BlockError) || errnoOf(error) !== 'EACCES') throw error;
      this.#listed = false;
      return undefined;
    }
  }

  #cut(offset: bigint, length: number): Within[] {
    const parts: Within[] = [];
    for (let at = 0; at < length; ) {
      const from = offset + BigInt(at);
      const start = Number(from % BigInt(this.#piece));
      const part = Math.min(this.#piece - start, length - at);
      parts.push({ index: from / BigInt(this.#piece), start, at, length: part });
      at += part;
    }
    return parts;
  }
}
