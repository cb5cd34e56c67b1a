import type { ReadableStream, WritableStream } from 'node:stream/web';
import { isUint8Array } from 'node:util/types';
import { misplaced } from '../block/bounds.ts';
import type { BlockDevice, BlockSize, Extent, StatusRun } from '../block/device.ts';
import { cacheRange, extentsOf, settle, trimRange, zeroRange } from '../block/emulate.ts';
import { BlockError } from '../block/errors.ts';
import { readInto } from '../block/read-into.ts';
import { supportOf } from '../block/support.ts';
import type { CloseOptions } from '../client/client.ts';
import { allocate } from '../client/reading.ts';
import { BASE_ALLOCATION } from '../protocol/constants.ts';
import { type CallOptions, checkOptions, within } from './deadline.ts';
import { CallError, DiskError, type Operation, type Place } from './errors.ts';
import { readableOf, type StreamOptions, writableOf } from './streams.ts';
import type {
  Capabilities,
  DiskExtent,
  DiskOptions,
  DiskStatistics,
  DiskStatus,
  DiskWriteOptions,
  DiskZeroOptions,
  Offset,
  OperationStatistics,
  RangeOptions,
} from './types.ts';

const OPERATIONS = ['read', 'write', 'zero', 'trim', 'cache', 'flush', 'extents'] as const;

/** The longest range that one request may be of. */
const LONGEST = Number.MAX_SAFE_INTEGER;

/**
 * A disk for people: every method is there, takes an offset as a number or a bigint, answers with
 * what is the caller's own, and fails with a DiskError. Any number of calls may be under way.
 */
export class Disk {
  /** The same disk by the contract of devices, for those who compose. */
  readonly device: BlockDevice;
  /** Each connection to it; all the same where there is one. */
  readonly connections: readonly BlockDevice[];
  readonly exportName: string;
  readonly can: Capabilities;
  /** The names of its metadata contexts. */
  readonly contexts: readonly string[];
  readonly #options: DiskOptions;
  readonly #counters = Object.fromEntries(
    OPERATIONS.map(operation => [operation, { requests: 0, bytes: 0, errors: 0 }]),
  ) as Record<Operation, { -readonly [K in keyof OperationStatistics]: number }>;
  #closing: Promise<void> | undefined;

  /** @param device is closed with the disk. Use `open`, which takes more than devices. */
  constructor(device: BlockDevice, options: DiskOptions = {}) {
    const { write, flush, trim, extents, contexts = [], multiConn } = device;
    const { fua, zero, fastZero, cache } = supportOf(device);
    this.device = device;
    this.connections = options.connections ?? [device];
    this.exportName = options.exportName ?? '';
    this.#options = options;
    this.can = {
      write: write !== undefined,
      flush: flush !== undefined,
      trim: write !== undefined && trim !== undefined,
      zero: zero !== 'none',
      fastZero: fastZero === 'native',
      cache: cache !== 'none',
      fua: fua !== 'none',
      extents: extents !== undefined,
      multiConn: multiConn === true,
    };
    const base = extents ? [BASE_ALLOCATION] : [];
    this.contexts = [...base, ...contexts.map(({ name }) => name)];
  }

  /** In bytes. */
  get size(): bigint {
    return this.device.size;
  }

  /** One line for people. */
  get description(): string | undefined {
    return this.device.description;
  }

  /** Which requests are quick; any offset and length may be asked for. */
  get blockSize(): BlockSize | undefined {
    return this.device.blockSize;
  }

  /** A Buffer that is the caller's own. */
  read(offset: Offset, length: number, options: CallOptions = {}): Promise<Buffer> {
    return this.#ranged('read', offset, length, options, async (at, signal) => {
      const bytes = allocate(length);
      if (length > 0) await readInto(this.device, at, bytes, { signal });
      return bytes;
    });
  }

  /** Writes all of `data`, which must not change until it is done. */
  write(offset: Offset, data: Uint8Array, options: DiskWriteOptions = {}): Promise<void> {
    if (!isUint8Array(data)) return this.#refuse('write', 'data: expected a Uint8Array');
    return this.#ranged('write', offset, data.length, options, async (at, signal) => {
      this.#mustWrite(options);
      if (data.length === 0) return;
      const fua = options.fua && this.device.fua === 'native';
      await this.device.write!(at, data, { signal, fua });
      await settle(this.device, { fua: options.fua, signal });
    });
  }

  /** The range reads as zeroes afterwards. */
  zero(offset: Offset, length: number, options: DiskZeroOptions = {}): Promise<void> {
    return this.#ranged('zero', offset, length, options, async (at, signal) => {
      this.#mustWrite(options);
      if (length > 0) await zeroRange(this.device, at, length, { ...options, signal });
    });
  }

  /** The range is not needed any more, and may read as anything afterwards. */
  trim(offset: Offset, length: number, options: DiskWriteOptions = {}): Promise<void> {
    return this.#ranged('trim', offset, length, options, async (at, signal) => {
      this.#mustWrite(options);
      if (!this.device.trim) throw new BlockError('ENOTSUP', 'the disk cannot trim');
      if (length > 0) await trimRange(this.device, at, length, { ...options, signal });
    });
  }

  /** The range will be read soon. */
  cache(offset: Offset, length: number, options: CallOptions = {}): Promise<void> {
    return this.#ranged('cache', offset, length, options, async (at, signal) => {
      if (length > 0) await cacheRange(this.device, at, length, { signal });
    });
  }

  /** What was written before is durable when it is done. */
  flush(options: CallOptions = {}): Promise<void> {
    return this.#call({ operation: 'flush', exportName: this.exportName }, options, signal => {
      if (!this.device.flush) throw new BlockError('ENOTSUP', 'the disk cannot flush');
      return this.device.flush({ signal });
    });
  }

  /** What the disk consists of, in order: data, holes, zeroes. All data where it does not say. */
  extents(range: RangeOptions = {}): AsyncGenerator<DiskExtent, void, undefined> {
    const same = (a: Extent, b: Extent) => a.hole === b.hole && a.zero === b.zero;
    const ask = (at: bigint, length: number, signal: AbortSignal | undefined) =>
      extentsOf(this.device, at, length, { signal });
    return this.#runs(range, ask, same);
  }

  /** The runs of a metadata context of which `contexts` tells, such as qemu:dirty-bitmap:NAME. */
  status(context: string, range: RangeOptions = {}): AsyncGenerator<DiskStatus, void, undefined> {
    const same = (a: StatusRun, b: StatusRun) => a.flags === b.flags;
    const ask = async (at: bigint, length: number, signal: AbortSignal | undefined) => {
      const found = this.device.contexts?.find(({ name }) => name === context);
      if (found) return found.status(at, length, { signal });
      throw new BlockError('ENOTSUP', `the disk has no metadata context '${context}'`);
    };
    return this.#runs(range, ask, same);
  }

  async *#runs<R extends { readonly length: number }>(
    options: RangeOptions,
    ask: (at: bigint, length: number, signal: AbortSignal | undefined) => R[] | PromiseLike<R[]>,
    same: (a: R, b: R) => boolean,
  ): AsyncGenerator<R & { readonly offset: bigint }, void, undefined> {
    const { from, to } = this.#range(options);
    let last: (R & { readonly offset: bigint }) | undefined;
    for (let at = from; at < to; ) {
      const left = to - at < LONGEST ? Number(to - at) : LONGEST;
      const runs = await this.#ranged('extents', at, left, options, (start, signal) =>
        ask(start, left, signal),
      );
      const before = at;
      for (const run of runs) {
        const length = to - at < run.length ? Number(to - at) : run.length;
        if (length === 0) break;
        if (last && same(last, run) && last.length + length <= LONGEST) {
          last = { ...last, length: last.length + length };
        } else {
          if (last) yield last;
          last = { ...run, offset: at, length };
        }
        at += BigInt(length);
      }
      if (at === before) throw new BlockError('EIO', 'the disk gave no extents', { offset: at });
    }
    if (last) yield last;
  }

  /** The bytes of a part of the disk, several reads ahead of whoever takes them. */
  readable(options: StreamOptions = {}): ReadableStream<Buffer> {
    return readableOf(this, this.#range(options), options);
  }

  /** Takes bytes for a part of the disk, from its beginning on; closing it flushes. */
  writable(options: StreamOptions = {}): WritableStream<Uint8Array> {
    return writableOf(this, this.#range(options), options);
  }

  /** How much was asked for so far. */
  statistics(): DiskStatistics {
    return structuredClone(this.#counters);
  }

  /** Waits for the calls under way and closes. New ones fail with ESHUTDOWN. */
  close(options: CloseOptions = {}): Promise<void> {
    this.#closing ??= this.#close(options);
    return this.#closing;
  }

  async #close({ timeout }: CloseOptions): Promise<void> {
    const drop = () => this.#options.drop?.();
    const timer = timeout === undefined ? undefined : setTimeout(drop, timeout);
    try {
      await this.device.close?.();
    } finally {
      clearTimeout(timer);
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #mustWrite({ fua }: DiskWriteOptions): void {
    if (!this.device.write) throw new BlockError('EPERM', 'the disk is read-only');
    if (fua && !this.can.fua) throw new BlockError('ENOTSUP', 'fua: the disk cannot flush');
  }

  #range(options: RangeOptions): { from: bigint; to: bigint } {
    try {
      checkOptions(options);
      const from = bigintOf(options.from ?? 0n);
      const to = bigintOf(options.to ?? this.size);
      const isPart = to <= this.size || this.#options.strict === false;
      if (0n <= from && from <= to && isPart) return { from, to };
      const words = `from ${from} to ${to} is no part of the disk of ${this.size} bytes`;
      throw new CallError(words);
    } catch (error) {
      throw new DiskError(error, { operation: 'extents', exportName: this.exportName });
    }
  }

  async #refuse(operation: Operation, words: string): Promise<never> {
    const place = { operation, exportName: this.exportName };
    throw new DiskError(new CallError(words), place);
  }

  /** A call on a range, which is checked before anything is asked. */
  #ranged<T>(
    operation: Exclude<Operation, 'flush'>,
    offset: Offset,
    length: number,
    options: CallOptions,
    act: (at: bigint, signal: AbortSignal | undefined) => T | PromiseLike<T>,
  ): Promise<T> {
    const place = { operation, exportName: this.exportName, offset: undefined, length };
    let at: bigint;
    try {
      at = bigintOf(offset);
      this.#check(operation, at, length);
    } catch (error) {
      return Promise.reject(new DiskError(error, place, 'call'));
    }
    return this.#call({ ...place, offset: at }, options, signal => act(at, signal));
  }

  #check(operation: Exclude<Operation, 'flush'>, at: bigint, length: number): void {
    const { size } = this;
    if (this.#options.strict === false || (length === 0 && at <= size)) return;
    const wrong = misplaced({ size, blockSize: undefined }, operation, at, length);
    if (wrong) throw wrong;
  }

  async #call<T>(
    place: Place,
    options: CallOptions,
    act: (signal: AbortSignal | undefined) => T | PromiseLike<T>,
  ): Promise<T> {
    const { operation, offset, length = 0 } = place;
    const { debug } = this.#options;
    const counter = this.#counters[operation];
    counter.requests += 1;
    debug?.(offset === undefined ? operation : `${operation} of ${length} bytes at ${offset}`);
    try {
      if (this.#closing) throw new BlockError('ESHUTDOWN', 'the disk has been closed');
      const answer = await within(options, act);
      counter.bytes += length;
      return answer;
    } catch (error) {
      counter.errors += 1;
      const { signal } = options ?? {};
      if (signal?.aborted && error === signal.reason) throw error;
      const failure = new DiskError(error, place);
      debug?.(`${operation} failed: ${failure.errno}: ${failure.message}`);
      throw failure;
    }
  }
}

/** @throws CallError for what is no offset. */
function bigintOf(offset: Offset): bigint {
  if (typeof offset === 'bigint') return offset;
  if (Number.isSafeInteger(offset)) return BigInt(offset);
  const right = 'expected a bigint, or a whole number up to 2^53-1';
  throw new CallError(`offset ${String(offset)}: ${right}`);
}
