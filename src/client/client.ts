import { isUint8Array } from 'node:util/types';
import { allOf } from '../block/all-of.ts';
import { isKnownZero, viewsOf } from '../block/data.ts';
import type {
  BlockDevice,
  BlockSize,
  Data,
  Extent,
  ExtentsOptions,
  MetaContext,
  ReadOptions,
  StatusRun,
  Support,
  WriteOptions,
  ZeroOptions,
} from '../block/device.ts';
import { BlockError } from '../block/errors.ts';
import { ExtentList } from '../block/extents.ts';
import {
  AllocationFlag,
  BASE_ALLOCATION,
  Command,
  CommandFlag,
  PORTABLE_PAYLOAD,
  TransmissionFlag,
} from '../protocol/constants.ts';
import { encodeStatusPayload } from '../protocol/request.ts';
import type { Transport } from '../transport/transport.ts';
import type { Agreement } from './agreement.ts';
import type { Statuses } from './pending.ts';
import { allocate } from './reading.ts';
import type { SharedSlots } from './shared-slots.ts';
import { Transmission } from './transmission.ts';

/** Longest effect of one request in 32 bits, in whole 64-KiB blocks. */
const LONGEST_COMPACT = 0xffff0000;

/** What the 64 bits of an offset cannot say any more. */
const END_OF_OFFSETS = 2n ** 64n;

/** How long `close` waits for a silent server, in ms, unless said. */
const PATIENCE = 10_000;

export interface NbdReadOptions extends ReadOptions {
  /** Ask the server for one piece (NBD_CMD_FLAG_DF). */
  readonly df?: boolean | undefined;
}

/** Without `memory` the answer is the caller's own. */
export interface OwnReadOptions extends NbdReadOptions {
  readonly memory?: undefined;
}

export interface StatusOptions extends ExtentsOptions {
  /** Only these of the selected contexts, where the server can leave out the others. */
  readonly contexts?: readonly string[] | undefined;
}

export interface CloseOptions {
  /** ms for which the server may answer nothing; then the connection is dropped. 10 s unless said. */
  readonly timeout?: number | undefined;
}

interface ClientOptions {
  readonly release?: (() => Promise<void>) | undefined;
  readonly strict?: boolean | undefined;
  readonly shared?: SharedSlots | undefined;
}

/**
 * A connection to an NBD export: a BlockDevice whose methods are there when the server offers them.
 * Any number of requests may be under way; what is longer than the server takes is cut up.
 * Failures are BlockErrors with the server's errno, ProtocolErrors when it breaks the protocol, and
 * ECONNRESET when the connection is lost. What cannot be asked is refused with EINVAL and not sent.
 * A request whose signal is aborted rejects with the signal's reason, and no sooner than its memory
 * is out of use; whether the server has done it is not known.
 */
export class NbdClient implements BlockDevice {
  readonly agreement: Agreement;
  readonly size: bigint;
  readonly readOnly: boolean;
  readonly opaque = true;
  readonly rotational: boolean;
  readonly multiConn: boolean;
  readonly fua: Support | undefined;
  readonly fastZero: Support | undefined;
  readonly canDf: boolean;
  /** The server's constraints; undefined when it announced none. */
  readonly blockSize: BlockSize | undefined;
  readonly description: string | undefined;
  readonly contexts: readonly MetaContext[];

  readonly write?: NonNullable<BlockDevice['write']>;
  readonly flush?: NonNullable<BlockDevice['flush']>;
  readonly trim?: NonNullable<BlockDevice['trim']>;
  readonly zero?: NonNullable<BlockDevice['zero']>;
  readonly cache?: NonNullable<BlockDevice['cache']>;
  readonly extents?: NonNullable<BlockDevice['extents']>;

  readonly #transmission: Transmission;
  readonly #release: (() => Promise<void>) | undefined;
  readonly #strict: boolean;
  readonly #longestPayload: number;
  readonly #longestEffect: number;
  readonly #contextIds: ReadonlyMap<string, number>;

  /**
   * Made by `connect` and by `Negotiation.go`.
   * @param release ends what was started for the connection.
   */
  constructor(
    transport: Transport,
    agreement: Agreement,
    leftover: Uint8Array,
    { release, strict = true, shared }: ClientOptions = {},
  ) {
    const { flags, structured, extended, contexts, blockSize } = agreement;
    const has = (flag: number) => (flags & flag) !== 0;
    const offers = (flag: number) => has(flag) || !strict;
    this.agreement = agreement;
    this.size = agreement.size;
    this.readOnly = has(TransmissionFlag.readOnly);
    this.rotational = has(TransmissionFlag.rotational);
    this.multiConn = has(TransmissionFlag.multiConn);
    this.fua = offers(TransmissionFlag.fua) ? 'native' : undefined;
    this.fastZero = offers(TransmissionFlag.fastZero) ? 'native' : undefined;
    this.canDf = has(TransmissionFlag.df);
    this.blockSize = blockSize;
    this.description = agreement.description;
    const longest = Math.min(blockSize?.maximum ?? PORTABLE_PAYLOAD, PORTABLE_PAYLOAD);
    this.#longestPayload = longest - (longest % (blockSize?.minimum ?? 1));
    this.#longestEffect = extended ? Number.MAX_SAFE_INTEGER : LONGEST_COMPACT;
    this.#contextIds = new Map([...contexts].map(([id, name]) => [name, id]));
    const form = { structured, extended, contexts, blockSize, shared };
    this.#transmission = new Transmission(transport, form, leftover);
    this.#release = release;
    this.#strict = strict;

    if (!this.readOnly || !strict) {
      this.write = (offset, data, options) => this.#write(offset, data, options);
      if (offers(TransmissionFlag.trim)) {
        this.trim = (offset, length, options) =>
          this.#effect(Command.trim, offset, length, this.#fuaFlag(options), options?.signal);
      }
      if (offers(TransmissionFlag.writeZeroes)) {
        this.zero = (offset, length, options) =>
          this.#effect(
            Command.writeZeroes,
            offset,
            length,
            this.#zeroFlags(options),
            options?.signal,
          );
      }
    }
    if (offers(TransmissionFlag.flush)) {
      const flush = { type: Command.flush, flags: 0, offset: 0n, length: 0 };
      this.flush = options => this.#transmission.command(flush, options?.signal);
    }
    if (offers(TransmissionFlag.cache)) {
      this.cache = (offset, length, options) =>
        this.#effect(Command.cache, offset, length, 0, options?.signal);
    }
    if (this.#contextIds.has(BASE_ALLOCATION)) {
      this.extents = (offset, length, options) => this.#extents(offset, length, options);
    }
    this.contexts = this.metaContexts
      .filter(name => name !== BASE_ALLOCATION)
      .map(name => ({
        name,
        status: async (offset, length, options) =>
          (await this.blockStatus(offset, length, { ...options, contexts: [name] })).get(name)!,
      }));
  }

  /** The names of all metadata contexts that were agreed on. */
  get metaContexts(): string[] {
    return [...this.#contextIds.keys()];
  }

  /** No request is taken any more: the connection was lost or closed. */
  get ended(): boolean {
    return this.#transmission.ended;
  }

  /** Requests under way. */
  get inFlight(): number {
    return this.#transmission.inFlight;
  }

  /**
   * Without `memory` the answer is one Buffer that is the caller's own, to change and to keep. With
   * it, it is as the contract of devices has it: perhaps several views, of that memory or of the
   * zeroes that all share and nobody may change.
   * @throws BlockError EINVAL for a range that is not inside the export; ENOMEM.
   */
  read(offset: bigint, length: number, options?: OwnReadOptions): Promise<Buffer>;
  read(offset: bigint, length: number, options?: NbdReadOptions): Promise<Data>;
  read(offset: bigint, length: number, options: NbdReadOptions = {}): Promise<Data> {
    return options.memory
      ? this.#read(offset, length, options)
      : this.#readOwn(offset, length, options);
  }

  async #readOwn(offset: bigint, length: number, options: NbdReadOptions): Promise<Buffer> {
    let own: Buffer | undefined;
    const memory = (count: number) => {
      own = allocate(count);
      return own;
    };
    const data = await this.#read(offset, length, { ...options, memory });
    const bytes = own ?? allocate(length);
    let at = 0;
    for (const view of viewsOf(data)) {
      // All other views are already in their place.
      if (isKnownZero(view)) bytes.fill(0, at, at + view.length);
      at += view.length;
    }
    return bytes;
  }

  async #read(offset: bigint, length: number, options: NbdReadOptions): Promise<Data> {
    this.#check(offset, length);
    if (length === 0) return Buffer.alloc(0);
    const { df = false, memory, signal } = options;
    const type = Command.read;
    const flags = df ? CommandFlag.df : 0;
    const longest = this.#longestPayload;
    if (length <= longest) {
      return this.#transmission.read({ type, flags, offset, length }, memory, signal);
    }
    const whole = memory?.(length);
    const pieces = [...piecesOf(offset, length, longest)].map(({ at, start, count }) => {
      const request = { type, flags, offset: at, length: count };
      const part = whole && (() => whole.subarray(start, start + count));
      return this.#transmission.read(request, part, signal);
    });
    return (await allOf(pieces)).flat();
  }

  /**
   * The runs of each metadata context, by name; the last may reach past the range, and they may
   * cover less of it.
   * @throws BlockError EINVAL for no bytes, and for contexts that were not agreed on.
   */
  async blockStatus(
    offset: bigint,
    length: number,
    { one = false, contexts, signal }: StatusOptions = {},
  ): Promise<Statuses> {
    this.#check(offset, length);
    if (length === 0) throw new BlockError('EINVAL', 'block status of no bytes', { offset });
    const ids = this.#idsOf(contexts);
    const flags = one ? CommandFlag.reqOne : 0;
    const count = Math.min(length, this.#longestEffect);
    const type = Command.blockStatus;
    const canChoose = (this.agreement.flags & TransmissionFlag.blockStatusPayload) !== 0;
    if (!contexts || !canChoose) {
      return this.#transmission.status({ type, flags, offset, length: count }, signal);
    }
    const payload = encodeStatusPayload(count, ids);
    const withPayload = flags | CommandFlag.payloadLength;
    const request = { type, flags: withPayload, offset, length: payload.length };
    return this.#transmission.status(request, signal, payload, ids);
  }

  #idsOf(contexts: readonly string[] = this.metaContexts): number[] {
    if (contexts.length === 0) throw new BlockError('EINVAL', 'no metadata context is selected');
    return contexts.map(name => {
      const id = this.#contextIds.get(name);
      if (id !== undefined) return id;
      throw new BlockError('EINVAL', `the metadata context ${name} was not agreed on`);
    });
  }

  /**
   * Waits for the answers under way, then disconnects in order and ends what was started for the
   * connection. New requests fail with ESHUTDOWN. Never rejects.
   */
  async close({ timeout = PATIENCE }: CloseOptions = {}): Promise<void> {
    await this.#transmission.disconnect(timeout);
    await this.#release?.();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Fails the requests under way and drops the connection. */
  abort(): void {
    this.#transmission.abort(new BlockError('ESHUTDOWN', 'the connection was dropped'));
    void this.#release?.();
  }

  async #write(offset: bigint, data: Uint8Array, options?: WriteOptions): Promise<void> {
    if (!isUint8Array(data)) throw new BlockError('EINVAL', 'expected a Uint8Array to write');
    this.#check(offset, data.length);
    if (data.length === 0) return;
    const flags =
      this.#fuaFlag(options) | (this.agreement.extended ? CommandFlag.payloadLength : 0);
    const type = Command.write;
    const signal = options?.signal;
    if (data.length <= this.#longestPayload) {
      const request = { type, flags, offset, length: data.length };
      return this.#transmission.command(request, signal, data);
    }
    await allOf(
      [...piecesOf(offset, data.length, this.#longestPayload)].map(({ at, start, count }) => {
        const request = { type, flags, offset: at, length: count };
        return this.#transmission.command(request, signal, data.subarray(start, start + count));
      }),
    );
  }

  /** A command that works on a range and carries no data. */
  async #effect(
    type: number,
    offset: bigint,
    length: number,
    flags: number,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    this.#check(offset, length);
    if (length === 0) return;
    for (const { at, count } of piecesOf(offset, length, this.#longestEffect)) {
      await this.#transmission.command({ type, flags, offset: at, length: count }, signal);
    }
  }

  async #extents(offset: bigint, length: number, options?: ExtentsOptions): Promise<Extent[]> {
    const contexts = [BASE_ALLOCATION];
    const statuses = await this.blockStatus(offset, length, { ...options, contexts });
    const runs: readonly StatusRun[] = statuses.get(BASE_ALLOCATION) ?? [];
    const room = this.#strict ? Number(this.size - offset) : Number.POSITIVE_INFINITY;
    const list = new ExtentList();
    for (const { length: run, flags } of runs) {
      const hole = (Number(flags) & AllocationFlag.hole) !== 0;
      const zero = (Number(flags) & AllocationFlag.zero) !== 0;
      list.add(Math.min(run, room - list.length), hole, zero);
      if (list.length >= length) break;
    }
    return list.extents;
  }

  #fuaFlag(options?: WriteOptions): number {
    return options?.fua && this.fua === 'native' ? CommandFlag.fua : 0;
  }

  #zeroFlags(options?: ZeroOptions): number {
    const noHole = options?.mayTrim ? 0 : CommandFlag.noHole;
    return this.#fuaFlag(options) | noHole | (options?.fastZero ? CommandFlag.fastZero : 0);
  }

  #check(offset: bigint, length: number): void {
    if (typeof offset !== 'bigint' || !Number.isSafeInteger(length) || length < 0) {
      const right = 'expected a bigint, and a whole number of bytes up to 2^53-1';
      const words = `offset ${String(offset)} and length ${String(length)}: ${right}`;
      throw new BlockError('EINVAL', words);
    }
    const end = this.#strict ? this.size : END_OF_OFFSETS;
    if (offset < 0n || BigInt(length) > end - offset) {
      const words = `${length} bytes at ${offset} are not inside the export of ${this.size} bytes`;
      throw new BlockError('EINVAL', words, { offset });
    }
  }
}

interface Part {
  readonly at: bigint;
  readonly start: number;
  readonly count: number;
}

function* piecesOf(offset: bigint, length: number, longest: number): Generator<Part> {
  for (let start = 0; start < length; start += longest) {
    yield { at: offset + BigInt(start), start, count: Math.min(longest, length - start) };
  }
}
