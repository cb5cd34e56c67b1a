import type { BlockDevice, Extent, RequestOptions } from '../../block/device.ts';
import { ExtentList } from '../../block/extents.ts';
import { Turns } from '../../block/turns.ts';
import { addressOf, koffi } from '../../posix/libc.ts';
import { ASYNC, CHUNK, MOST_CHUNKS, SECTOR } from './constants.ts';
import type { Session } from './session.ts';

const CHUNK_BYTES = CHUNK * SECTOR;
const LONGEST = 2 ** 32 - SECTOR;
/** Blocks that are quick for any disk, in bytes. */
const PREFERRED = 4096;

/** An open disk of the library. All calls with its handle are made one after the other. */
export class Disk {
  readonly #session: Session;
  readonly #handle: bigint;
  readonly #turns = new Turns(1);

  constructor(session: Session, handle: bigint) {
    this.#session = session;
    this.#handle = handle;
  }

  /** @param link only this link of a chain is open, and what it lacks need not be zeroes. */
  async device(link: boolean, debug: (message: string) => void): Promise<BlockDevice> {
    const { size, preferred } = await this.#info();
    const tellsExtents = size >= CHUNK_BYTES && (await this.#tellsExtents(debug));
    return {
      size,
      blockSize: { minimum: SECTOR, preferred, maximum: LONGEST },
      read: async (offset, length, options) => {
        const room = options?.memory?.(length) ?? Buffer.allocUnsafe(length);
        await this.#transfer('ReadAsync', offset, room);
        return room;
      },
      write: (offset, data) => this.#transfer('WriteAsync', offset, data),
      flush: () => this.#flush(),
      ...(tellsExtents && {
        extents: (offset: bigint, length: number, options?: RequestOptions) =>
          this.#extents(offset, length, size, !link, options),
      }),
    };
  }

  /** Waits for what is under way. */
  async close(): Promise<void> {
    const { library } = this.#session;
    await this.#turns.run(async () => {
      await library.ask('Wait', this.#handle);
    });
    await library.ask('Close', this.#handle);
  }

  /** VixDiskLibInfo. */
  async #info(): Promise<{ size: bigint; preferred: number }> {
    const { library } = this.#session;
    const place = Buffer.alloc(8);
    await library.call('GetInfo', this.#handle, place);
    const address = place.readBigUInt64LE();
    const info = Buffer.from(koffi()!.view(address, library.version >= 7 ? 64 : 56));
    const size = info.readBigUInt64LE(24) * BigInt(SECTOR);
    // What a sector is, logically and physically, is told from 7.0 on.
    const sectors = library.version >= 7 ? [info.readUInt32LE(56), info.readUInt32LE(60)] : [];
    await library.ask('FreeInfo', address);
    return { size, preferred: Math.max(PREFERRED, ...sectors) };
  }

  async #transfer(call: 'ReadAsync' | 'WriteAsync', offset: bigint, bytes: Uint8Array) {
    const { library, done } = this.#session;
    const start = offset / BigInt(SECTOR);
    const sectors = bytes.length / SECTOR;
    await this.#session.request(call, async id => {
      const values = [this.#handle, start, sectors, addressOf(bytes), done, id] as const;
      await this.#turns.run(() => library.expect(ASYNC, call, ...values));
    });
  }

  async #flush(): Promise<void> {
    const { library } = this.#session;
    await this.#turns.run(async () => {
      await library.call('Wait', this.#handle);
      await library.call('Flush', this.#handle);
    });
  }

  /** Whether the library can tell what is allocated of this disk; often it cannot. */
  async #tellsExtents(debug: (message: string) => void): Promise<boolean> {
    const { library, messages } = this.#session;
    if (!library.has('QueryAllocatedBlocks')) return false;
    messages.quiet = true;
    try {
      await this.#allocated(0n, CHUNK);
      return true;
    } catch (error) {
      debug(`extents are not told: ${(error as Error).message}`);
      return false;
    } finally {
      messages.quiet = false;
    }
  }

  /** Whole chunks can be asked about; the rest after the last one counts as data. */
  async #extents(
    offset: bigint,
    length: number,
    size: bigint,
    zero: boolean,
    options: RequestOptions | undefined,
  ): Promise<Extent[]> {
    const within = Number(offset % BigInt(CHUNK_BYTES));
    const start = offset - BigInt(within);
    const chunks = Math.min(
      Math.ceil((within + length) / CHUNK_BYTES),
      Number((size - start) / BigInt(CHUNK_BYTES)),
      MOST_CHUNKS,
    );
    const runs = new ExtentList();
    if (chunks === 0) {
      runs.addData(length);
      return runs.extents;
    }
    const blocks = await this.#turns.run(
      () => this.#allocated(start / BigInt(SECTOR), chunks * CHUNK),
      options?.signal,
    );
    /** As far as it is known, from `start` on. */
    let at = within;
    for (const [from, to] of [...blocks, [chunks * CHUNK_BYTES, chunks * CHUNK_BYTES] as const]) {
      runs.add(Math.max(0, from - at), true, zero);
      at = Math.max(at, from);
      runs.addData(Math.max(0, to - at));
      at = Math.max(at, to);
    }
    return runs.extents;
  }

  /** Where there is data, from and to, in bytes from the first of these sectors on, in order. */
  async #allocated(start: bigint, sectors: number): Promise<(readonly [number, number])[]> {
    const { library } = this.#session;
    const place = Buffer.alloc(8);
    await library.call('QueryAllocatedBlocks', this.#handle, start, sectors, CHUNK, place);
    const list = place.readBigUInt64LE();
    try {
      const count = Buffer.from(koffi()!.view(list, 4)).readUInt32LE();
      const numbers = new BigUint64Array(koffi()!.view(list + 8n, count * 16) as ArrayBuffer);
      const bytes = (at: bigint) => Math.min(Math.max(0, Number(at - start)), sectors) * SECTOR;
      return Array.from({ length: count }, (_, index) => {
        const from = numbers[2 * index]!;
        return [bytes(from), bytes(from + numbers[2 * index + 1]!)] as const;
      });
    } finally {
      await library.ask('FreeBlockList', list);
    }
  }
}
