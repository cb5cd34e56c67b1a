import type {
  BlockDevice,
  BlockSize,
  Data,
  ReadOptions as DeviceReadOptions,
  Extent,
  MetaContext,
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
import { Engine } from './engine.ts';
import type { Agreement } from './negotiation.ts';
import type { Statuses } from './pending.ts';

/** Longest effect of one request in 32 bits, in whole 64-KiB blocks. */
const LONGEST_COMPACT = 0xffff0000;

export interface ReadOptions extends DeviceReadOptions {
  /** Ask the server for one piece (NBD_CMD_FLAG_DF). */
  readonly df?: boolean | undefined;
}

export interface StatusOptions {
  /** One run for each context (NBD_CMD_FLAG_REQ_ONE). */
  readonly reqOne?: boolean | undefined;
  /** Only these of the selected contexts, where the server can leave out the others. */
  readonly contexts?: readonly string[] | undefined;
}

/**
 * A connection to an NBD export: a BlockDevice whose methods are there when the server offers them.
 * Any number of requests may be under way; what is longer than the server takes is cut up.
 * Failures are BlockErrors with the server's errno, ProtocolErrors when it breaks the protocol, and
 * ECONNRESET when the connection is lost.
 */
export class NbdClient implements BlockDevice {
  readonly agreement: Agreement;
  readonly size: bigint;
  readonly readOnly: boolean;
  readonly rotational: boolean;
  readonly multiConn: boolean;
  readonly fua: Support | undefined;
  readonly fastZero: Support;
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

  readonly #engine: Engine;
  readonly #flags: number;
  readonly #longestPayload: number;
  readonly #longestEffect: number;
  readonly #contextIds: ReadonlyMap<string, number>;

  /** Made by `connect` and by `Negotiation.go`. */
  constructor(transport: Transport, agreement: Agreement, leftover: Uint8Array) {
    const { flags, structured, extended, contexts, blockSize } = agreement;
    const has = (flag: number) => (flags & flag) !== 0;
    this.agreement = agreement;
    this.size = agreement.size;
    this.readOnly = has(TransmissionFlag.readOnly);
    this.rotational = has(TransmissionFlag.rotational);
    this.multiConn = has(TransmissionFlag.multiConn);
    this.fua = has(TransmissionFlag.fua) ? 'native' : undefined;
    this.fastZero = has(TransmissionFlag.fastZero) ? 'native' : 'none';
    this.canDf = has(TransmissionFlag.df);
    this.blockSize = blockSize;
    this.description = agreement.description;
    this.#flags = flags;
    const longest = Math.min(blockSize?.maximum ?? PORTABLE_PAYLOAD, PORTABLE_PAYLOAD);
    this.#longestPayload = longest - (longest % (blockSize?.minimum ?? 1));
    this.#longestEffect = extended ? Number.MAX_SAFE_INTEGER : LONGEST_COMPACT;
    this.#contextIds = new Map([...contexts].map(([id, name]) => [name, id]));
    this.#engine = new Engine(transport, { structured, extended, contexts }, leftover);

    if (!this.readOnly) {
      this.write = (offset, data, options) => this.#write(offset, data, options);
      if (has(TransmissionFlag.trim)) {
        this.trim = (offset, length, options) =>
          this.#effect(Command.trim, offset, length, this.#fuaFlag(options));
      }
      if (has(TransmissionFlag.writeZeroes)) {
        this.zero = (offset, length, options) =>
          this.#effect(Command.writeZeroes, offset, length, this.#zeroFlags(options));
      }
    }
    if (has(TransmissionFlag.flush)) {
      this.flush = () =>
        this.#engine.command({ type: Command.flush, flags: 0, offset: 0n, length: 0 });
    }
    if (has(TransmissionFlag.cache)) {
      this.cache = (offset, length) => this.#effect(Command.cache, offset, length, 0);
    }
    if (this.#contextIds.has(BASE_ALLOCATION)) {
      this.extents = (offset, length) => this.#extents(offset, length);
    }
    this.contexts = [...this.#contextIds.keys()]
      .filter(name => name !== BASE_ALLOCATION)
      .map(name => ({
        name,
        status: async (offset, length) =>
          (await this.blockStatus(offset, length, { contexts: [name] })).get(name)!,
      }));
  }

  /** The names of all metadata contexts that were agreed on. */
  get metaContexts(): string[] {
    return [...this.#contextIds.keys()];
  }

  /** Requests under way. */
  get inFlight(): number {
    return this.#engine.inFlight;
  }

  /** @throws BlockError EINVAL for a range that is not inside the export. */
  async read(offset: bigint, length: number, options: ReadOptions = {}): Promise<Data> {
    this.#check(offset, length);
    if (length === 0) return Buffer.alloc(0);
    const { df = false, memory } = options;
    const flags = df ? CommandFlag.df : 0;
    const longest = this.#longestPayload;
    if (length <= longest) {
      return this.#engine.read({ type: Command.read, flags, offset, length }, memory);
    }
    const whole = memory?.(length);
    const pieces = piecesOf(offset, length, longest).map(({ at, start, count }) => {
      const wish = { type: Command.read, flags, offset: at, length: count };
      return this.#engine.read(wish, whole && (() => whole.subarray(start, start + count)));
    });
    return (await allOf(pieces)).flat();
  }

  /**
   * The runs of each metadata context, by name; the last may reach past the range, and they may
   * cover less of it.
   * @throws BlockError EINVAL when no context was agreed on.
   */
  async blockStatus(
    offset: bigint,
    length: number,
    { reqOne = false, contexts }: StatusOptions = {},
  ): Promise<Statuses> {
    this.#check(offset, length);
    if (this.#contextIds.size === 0) {
      throw new BlockError('EINVAL', 'no metadata context was agreed on with the server');
    }
    const flags = reqOne ? CommandFlag.reqOne : 0;
    const count = Math.min(length, this.#longestEffect);
    const ids = contexts?.map(name => this.#contextIds.get(name) ?? 0);
    const canChoose = (this.#flags & TransmissionFlag.blockStatusPayload) !== 0;
    if (!ids || !canChoose) {
      return this.#engine.status({ type: Command.blockStatus, flags, offset, length: count });
    }
    const payload = encodeStatusPayload(count, ids);
    const type = Command.blockStatus;
    const withPayload = flags | CommandFlag.payloadLength;
    return this.#engine.status(
      { type, flags: withPayload, offset, length: payload.length },
      payload,
      ids,
    );
  }

  /** Waits for the answers under way, then disconnects in order. Never rejects. */
  async close(): Promise<void> {
    await this.#engine.disconnect();
  }

  /** Fails the requests under way and drops the connection. */
  abort(): void {
    this.#engine.abort(new BlockError('ESHUTDOWN', 'the connection was dropped'));
  }

  async #write(offset: bigint, data: Uint8Array, options?: WriteOptions): Promise<void> {
    this.#check(offset, data.length);
    if (data.length === 0) return;
    const flags =
      this.#fuaFlag(options) | (this.agreement.extended ? CommandFlag.payloadLength : 0);
    const type = Command.write;
    if (data.length <= this.#longestPayload) {
      return this.#engine.command({ type, flags, offset, length: data.length }, data);
    }
    await allOf(
      piecesOf(offset, data.length, this.#longestPayload).map(({ at, start, count }) =>
        this.#engine.command(
          { type, flags, offset: at, length: count },
          data.subarray(start, start + count),
        ),
      ),
    );
  }

  /** A command that works on a range and carries no data. */
  async #effect(type: number, offset: bigint, length: number, flags: number): Promise<void> {
    this.#check(offset, length);
    if (length === 0) return;
    if (length <= this.#longestEffect) {
      return this.#engine.command({ type, flags, offset, length });
    }
    for (const { at, count } of piecesOf(offset, length, this.#longestEffect)) {
      await this.#engine.command({ type, flags, offset: at, length: count });
    }
  }

  async #extents(offset: bigint, length: number): Promise<Extent[]> {
    const statuses = await this.blockStatus(offset, length, { contexts: [BASE_ALLOCATION] });
    const runs: readonly StatusRun[] = statuses.get(BASE_ALLOCATION) ?? [];
    const room = Number(this.size - offset);
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
    if (offset < 0n || offset > this.size || BigInt(length) > this.size - offset) {
      throw new BlockError(
        'EINVAL',
        `${length} bytes at ${offset} are not inside the export of ${this.size} bytes`,
        { offset },
      );
    }
  }
}

/** All results, or the first error once none is under way, as they share the caller's memory. */
async function allOf<T>(requests: readonly Promise<T>[]): Promise<T[]> {
  await Promise.allSettled(requests);
  return Promise.all(requests);
}

function piecesOf(
  offset: bigint,
  length: number,
  longest: number,
): { at: bigint; start: number; count: number }[] {
  const pieces: { at: bigint; start: number; count: number }[] = [];
  for (let start = 0; start < length; start += longest) {
    const count = Math.min(longest, length - start);
    pieces.push({ at: offset + BigInt(start), start, count });
  }
  return pieces;
}
