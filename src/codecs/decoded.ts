import { availableParallelism } from 'node:os';
import { promisify } from 'node:util';
import { alignedDevice } from '../block/aligned.ts';
import { andThen } from '../block/answer.ts';
import { Background } from '../block/background.ts';
import { BlockCache, Budget } from '../block/block-cache.ts';
import { closeAll } from '../block/close-all.ts';
import { viewsOf } from '../block/data.ts';
import type { BlockDevice, Data, ReadOptions, RequestOptions } from '../block/device.ts';
import { BlockError } from '../block/errors.ts';
import { withRecipeOf } from '../block/recipe.ts';
import { Turns } from '../block/turns.ts';
import { composed, type EveryMember } from '../block/wrap.ts';
import type { BlockTable, EncodedBlock } from './block-table.ts';
import type { Coding } from './coding.ts';
import { type Encoded, inputOf } from './encoded.ts';
import { Spool } from './spool.ts';
import { decoders, type SharedBytes } from './threads.ts';

/** Blocks that are larger, decoded, are kept in a file: in bytes. */
const IN_MEMORY = 32 << 20;
/** Memory that is well used where blocks are small. */
const USUAL = 64 << 20;

export interface DecodedOptions {
  readonly table: BlockTable;
  /** How a block is decoded. */
  encoded(block: EncodedBlock): Encoded | Promise<Encoded>;
  /** Most blocks that are kept in memory. */
  readonly depth?: number;
  /** Words for an error of a block that it takes too much memory to decode. */
  readonly tooLarge?: string;
  readonly debug?: ((message: string) => void) | undefined;
}

/**
 * What a compressed file holds, for reading. Blocks are decoded in threads, several at once, and
 * kept: small ones in memory, within a budget for all who share the device, large ones in a
 * temporary file.
 * @param below is closed with it.
 */
export function decodedDevice(below: BlockDevice, options: DecodedOptions): BlockDevice {
  const { table } = options;
  const blocks =
    table.largest > IN_MEMORY ? new InFile(below, options) : new InMemory(below, options);
  return expansionOf(below, table.format, {
    size: BigInt(table.size),
    read(offset, length, options = {}) {
      const at = Number(offset);
      const first = table.find(at);
      const { start, length: whole } = table.at(first);
      if (at + length <= start + whole) return blocks.read(first, at, length, options);
      const { signal } = options;
      return gather(table, at, length, (index, from, part) =>
        blocks.read(index, from, part, { signal }),
      );
    },
    extents: undefined,
    close: async () => {
      await blocks.close();
      await below.close?.();
    },
  });
}

/** A device that shows something else than the one below, and cannot be written. */
export function expansionOf(
  below: BlockDevice,
  format: string,
  own: Pick<EveryMember, 'size' | 'read' | 'extents' | 'close'>,
): BlockDevice {
  const { description } = below;
  return composed({
    description: description && `expansion of ${format}-compressed image: ${description}`,
    multiConn: true,
    rotational: undefined,
    blockSize: undefined,
    fua: undefined,
    zeroing: undefined,
    fastZero: undefined,
    caching: 'emulated',
    opaque: undefined,
    contexts: undefined,
    recipe: undefined,
    write: undefined,
    writeBuffer: undefined,
    flush: undefined,
    trim: undefined,
    zero: undefined,
    cache: undefined,
    resize: undefined,
    ...own,
  });
}

async function gather(
  table: BlockTable,
  offset: number,
  length: number,
  read: (index: number, from: number, length: number) => Data | PromiseLike<Data>,
): Promise<Uint8Array[]> {
  const views: Uint8Array[] = [];
  const end = offset + length;
  for (let index = table.find(offset), at = offset; at < end; index++) {
    const block = table.at(index);
    const part = Math.min(block.start + block.length, end) - at;
    views.push(...viewsOf(await read(index, at, part)));
    at += part;
  }
  return views;
}

/** A decoded block in memory that is used again and again: fresh pages cost a tenth of decoding. */
interface Held {
  readonly byteLength: number;
  readonly memory: SharedArrayBuffer;
}

const nextTurn = promisify(setImmediate);

/** Decoded blocks in memory, and the next one where somebody goes forward and a thread is free. */
class InMemory {
  readonly #below: BlockDevice;
  readonly #options: DecodedOptions;
  readonly #cache: BlockCache<number, Held, Promise<Held>>;
  readonly #spare: SharedArrayBuffer[] = [];
  readonly #inputs: SharedArrayBuffer[] = [];
  /** Those that are decoded, and one that is read for. */
  readonly #turns = new Turns(availableParallelism() + 1);
  readonly #looksAhead: boolean;
  readonly #background = new Background();
  #latest = Number.NaN;

  constructor(below: BlockDevice, options: DecodedOptions) {
    this.#below = alignedDevice(below);
    this.#options = options;
    const { largest } = options.table;
    const enough = Math.max(USUAL, (availableParallelism() + 2) * largest);
    const { depth = Number.POSITIVE_INFINITY } = options;
    // The next one must not take the place of the one that is being read.
    this.#looksAhead = depth > 2;
    const budget = new Budget(Math.min(enough, depth * largest));
    this.#cache = new BlockCache(budget, held => this.#recycle(held));
  }

  /** A copy: the block's memory may be another's soon. */
  read(
    index: number,
    at: number,
    length: number,
    { memory = Buffer.allocUnsafe, signal }: ReadOptions,
  ): Uint8Array | PromiseLike<Uint8Array> {
    const { start } = this.#options.table.at(index);
    const held: Held | PromiseLike<Held> = this.#block(index, { signal });
    if (index !== this.#latest) this.#ahead(index);
    return andThen(held, block => {
      const bytes = memory(length);
      bytes.set(new Uint8Array(block.memory, at - start, length));
      return bytes;
    });
  }

  async close(): Promise<void> {
    await this.#background.end();
    this.#cache.clear();
  }

  #block(index: number, options: RequestOptions): Promise<Held> {
    return this.#cache.get(index, own => this.#decode(index, own), options);
  }

  #ahead(index: number): void {
    const goesOn = this.#looksAhead && index === this.#latest + 1;
    this.#latest = index;
    const next = index + 1;
    if (!goesOn || next >= this.#options.table.count || decoders.isBusy) return;
    if (!this.#cache.has(next)) this.#background.start(own => this.#block(next, own));
  }

  async #decode(index: number, options: RequestOptions): Promise<Held> {
    // What had to go is free for others when the turn is over in which it went.
    if (this.#spare.length === 0) await nextTurn();
    return this.#turns.run(() => this.#decodeNow(index, options), options.signal);
  }

  async #decodeNow(index: number, options: RequestOptions): Promise<Held> {
    const block = this.#options.table.at(index);
    const byteLength = this.#options.table.largest;
    let held: Held | undefined;
    let packed: SharedBytes | undefined;
    const input = (length: number) => {
      packed = this.#memoryForInput(length);
      return packed;
    };
    const memory = () => {
      held = { byteLength, memory: this.#spare.pop() ?? new SharedArrayBuffer(byteLength) };
      return new Uint8Array(held.memory, 0, block.length);
    };
    try {
      await ofBlock(block, this.#options, async () => {
        const encoded = await this.#options.encoded(block);
        const bytes = await inputOf(this.#below, encoded, input, options);
        await decoders.decode(encoded.coding, bytes, memory, options);
      });
      return held!;
    } catch (error) {
      if (held) this.#recycle(held);
      throw error;
    } finally {
      if (packed) this.#inputs.push(packed.buffer);
    }
  }

  #memoryForInput(length: number): SharedBytes {
    const used = this.#inputs.pop();
    const enough = used && used.byteLength >= length;
    return new Uint8Array(enough ? used : new SharedArrayBuffer(length), 0, length);
  }

  /** Whoever has just got the block has copied of it when this turn is over. */
  #recycle({ memory }: Held): void {
    setImmediate(() => {
      if (this.#spare.length < 2) this.#spare.push(memory);
    });
  }
}

/** Decoded blocks in a temporary file, each whole before anything of it is read. */
class InFile {
  readonly #options: DecodedOptions;
  readonly #spool: Spool;
  readonly #file: BlockDevice;
  /** Those that are there. */
  readonly #there = new BlockCache<number, { readonly byteLength: 0 }>(new Budget(0));

  constructor(below: BlockDevice, options: DecodedOptions) {
    this.#options = options;
    this.#spool = new Spool(below);
    try {
      this.#file = this.#spool.device(options.table.size);
    } catch (error) {
      void this.#spool.close();
      throw error;
    }
    options.debug?.('its blocks are large: they are decompressed into a temporary file');
  }

  async read(index: number, at: number, length: number, options: ReadOptions): Promise<Data> {
    await this.#there.get(index, own => this.#decode(index, own), options);
    return await this.#file.read(BigInt(at), length, options);
  }

  close(): Promise<void> {
    return this.#spool.close();
  }

  async #decode(index: number, options: RequestOptions): Promise<{ readonly byteLength: 0 }> {
    const block = this.#options.table.at(index);
    const place = { offset: block.start, most: block.length };
    await ofBlock(block, this.#options, async () => {
      const encoded = await this.#options.encoded(block);
      const length = await this.#spool.decode(encoded, place, options);
      if (length < block.length) throw new BlockError('EIO', 'less comes of it than it says');
    });
    return { byteLength: 0 };
  }
}

export interface WholeOptions extends RequestOptions, Pick<DecodedOptions, 'debug'> {
  /** What the file is, in words: `gzip`. */
  readonly format: string;
}

/**
 * What a compressed file holds that has no index, for reading: it is decompressed into a temporary
 * file.
 * @param below is closed with it. @throws BlockError
 */
export async function decodedWhole(
  below: BlockDevice,
  coding: Coding,
  { format, debug, signal }: WholeOptions,
): Promise<BlockDevice> {
  debug?.('it has no index: it is decompressed into a temporary file');
  const spool = new Spool(below);
  try {
    const encoded = { coding, from: 0, packed: Number(below.size) };
    const file = spool.device(await spool.decode(encoded, { offset: 0 }, { signal }));
    const { size, extents } = file;
    const device = expansionOf(below, format, {
      size,
      extents,
      read: (offset, length, options) => file.read(offset, length, options),
      close: () => closeAll([file, below]),
    });
    return withRecipeOf(file, device);
  } catch (error) {
    await spool.close();
    if (!(error instanceof BlockError)) throw error;
    throw new BlockError(error.errno, `${format}: ${error.message}`, { cause: error });
  }
}

/** Says of which block an error is. */
async function ofBlock<T>(
  { start, length }: EncodedBlock,
  { table, tooLarge }: DecodedOptions,
  act: () => Promise<T>,
): Promise<T> {
  try {
    return await act();
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
    const why = error.errno === 'ENOMEM' && tooLarge ? `: ${tooLarge}` : '';
    const words = `${table.format}: the block of ${length} bytes at ${start}: ${error.message}${why}`;
    throw new BlockError(error.errno, words, { offset: BigInt(start), cause: error });
  }
}
