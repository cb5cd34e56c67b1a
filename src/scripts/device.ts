import { byteLength } from '../block/data.ts';
import type {
  BlockDevice,
  ExtentsOptions,
  OpenRequest,
  RequestOptions,
  Support,
  WriteOptions,
  ZeroOptions,
} from '../block/device.ts';
import { BlockError } from '../block/errors.ts';
import { parseSize } from '../block/size.ts';
import { composed } from '../block/wrap.ts';
import { parseBlockSize, parseExtents, parseSupport } from './answers.ts';
import type { Methods } from './methods.ts';

/** Most bytes of one request to a script. */
const MOST = 2 ** 32 - 1;

/** What a script says of a device when it is opened. */
type Facts = Awaited<ReturnType<typeof factsOf>>;

/** Opens an export of a script. @throws BlockError */
export async function openDevice(methods: Methods, request: OpenRequest): Promise<BlockDevice> {
  const { readOnly, exportName, tls, signal } = request;
  const options = { request, signal };
  const words = [String(readOnly), exportName, String(tls)];
  // A handle goes on as an argument, which ends at a NUL.
  const handle = (await methods.text('open', words, options))?.split('\0', 1)[0] ?? '';
  const connection = new Connection(methods, handle, request);
  try {
    return connection.device(await factsOf(connection, readOnly));
  } catch (error) {
    await connection.close();
    throw error;
  }
}

/** Asks for what cannot be asked later, in the order of nbdkit's server. @throws BlockError */
async function factsOf(script: Connection, readOnly: boolean) {
  const size = await script.answer('get_size', parseSize);
  if (size === undefined) throw script.methods.fault('get_size', 'is required');
  const write = !readOnly && ((await script.says('can_write')) ?? false);
  const zero = write && ((await script.says('can_zero')) ?? false);
  const fastZero = write ? await script.says('can_fast_zero') : undefined;
  const trim = write && ((await script.says('can_trim')) ?? false);
  const fua = write ? await script.answer('can_fua', parseSupport) : undefined;
  return {
    size,
    write,
    zero,
    fastZero,
    trim,
    fua,
    flush: (await script.says('can_flush')) ?? false,
    rotational: (await script.says('is_rotational')) ?? false,
    multiConn: (await script.says('can_multi_conn')) ?? false,
    cache: (await script.answer('can_cache', parseSupport)) ?? 'none',
    extents: (await script.says('can_extents')) ?? false,
    blockSize: await script.answer('block_size', parseBlockSize),
    description: await script.answer('export_description', text => text).catch(() => undefined),
  };
}

/** A handle of a script, as one connection uses it. */
class Connection {
  readonly methods: Methods;
  readonly #handle: string;
  readonly #request: OpenRequest;
  /** The script does not want this client any longer, which is told so until it leaves. */
  #over = false;
  /** nbdkit emulates FUA by flushing even where clients cannot flush. */
  #flushes = false;

  constructor(methods: Methods, handle: string, request: OpenRequest) {
    this.methods = methods;
    this.#handle = handle;
    const disconnect = (force = false) => {
      this.#over = true;
      if (force) request.disconnect(true);
    };
    this.#request = { ...request, disconnect };
  }

  says(method: string): Promise<boolean | undefined> {
    return this.methods.flag(method, [this.#handle], this.#options(this.#request));
  }

  async answer<T>(method: string, read: (text: string) => T): Promise<T | undefined> {
    const text = await this.methods.text(method, [this.#handle], this.#options(this.#request));
    if (text === undefined) return undefined;
    return this.methods.understood(method, text, () => read(text));
  }

  /** Nothing comes of it when it fails. */
  async close(): Promise<void> {
    await this.methods.act('close', [this.#handle]).catch(() => {});
  }

  device(facts: Facts): BlockDevice {
    const { write, zero, trim, flush, cache, extents, fua } = facts;
    this.#flushes = fua === 'emulated' && !flush;
    return composed({
      size: facts.size,
      description: facts.description,
      rotational: facts.rotational,
      multiConn: facts.multiConn,
      blockSize: facts.blockSize,
      fua: this.#flushes ? 'native' : (fua ?? (flush ? 'emulated' : 'none')),
      zeroing: undefined,
      fastZero: fastZeroOf(facts),
      caching: cache === 'native' ? undefined : cache,
      opaque: undefined,
      contexts: undefined,
      recipe: undefined,
      read: this.#read,
      write: write ? this.#write : undefined,
      writeBuffer: undefined,
      flush: flush ? this.#flush : undefined,
      trim: trim ? this.#trim : undefined,
      zero: zero ? this.#zero : undefined,
      cache: cache === 'native' ? this.#cache : undefined,
      extents: extents ? this.#extents : undefined,
      resize: undefined,
      close: () => this.close(),
    });
  }

  /** @throws BlockError ESHUTDOWN */
  #options({ signal }: RequestOptions = {}) {
    if (this.#over) throw new BlockError('ESHUTDOWN', 'the script has ended this connection');
    return { signal, request: this.#request };
  }

  readonly #read: BlockDevice['read'] = async (offset, length, options) => {
    const words = [this.#handle, String(length), String(offset)];
    const own = { ...this.#options(options), memory: options?.memory, limit: length };
    const data = await this.methods.bytes('pread', words, own);
    if (!data) throw this.methods.fault('pread', 'is required');
    const got = byteLength(data);
    if (got !== length) throw this.methods.fault('pread', `gave ${got} bytes instead of ${length}`);
    return data;
  };

  readonly #write = async (offset: bigint, input: Uint8Array, options?: WriteOptions) => {
    if (await this.#change('pwrite', offset, input.length, { ...options, input })) return;
    throw this.methods.fault('pwrite', 'is missing although can_write is true');
  };

  readonly #flush = async (options?: RequestOptions): Promise<void> => {
    await this.methods.act('flush', [this.#handle], this.#options(options));
  };

  readonly #trim = async (offset: bigint, length: number, options?: WriteOptions) => {
    await this.#change('trim', offset, length, options);
  };

  readonly #zero = async (offset: bigint, length: number, options?: ZeroOptions) => {
    if (await this.#change('zero', offset, length, options)) return;
    throw new BlockError('ENOTSUP', 'the script has no zero method');
  };

  readonly #cache = async (offset: bigint, length: number, options?: RequestOptions) => {
    const words = [this.#handle, String(length), String(offset)];
    await this.methods.act('cache', words, this.#options(options));
  };

  readonly #extents = async (offset: bigint, length: number, options: ExtentsOptions = {}) => {
    const most = Math.min(length, MOST);
    const words = [this.#handle, String(most), String(offset), flagsOf({ one: options.one })];
    const text = await this.methods.text('extents', words, this.#options(options));
    if (text === undefined) {
      throw this.methods.fault('extents', 'is missing although can_extents is true');
    }
    return this.methods.understood('extents', text, () => parseExtents(text, offset, most));
  };

  /** @returns false when the script lacks the method. */
  async #change(method: string, offset: bigint, length: number, options: Change = {}) {
    const flags = flagsOf(this.#flushes ? { ...options, fua: false } : options);
    const words = [this.#handle, String(length), String(offset), flags];
    const own = { ...this.#options(options), input: options.input };
    const there = await this.methods.act(method, words, own);
    if (this.#flushes && options.fua) await this.#flush(options);
    return there;
  }
}

interface Change extends ZeroOptions {
  readonly input?: Uint8Array;
}

function flagsOf({ fua, mayTrim, one, fastZero }: ZeroOptions & ExtentsOptions): string {
  const flags = [fua && 'fua', mayTrim && 'may_trim', one && 'req_one', fastZero && 'fast'];
  return flags.filter(Boolean).join(',');
}

/** Where it is not said, zeroing is known to be slow where it is writing zeroes. */
function fastZeroOf({ zero, fastZero }: Facts): Support {
  if (!(fastZero ?? !zero)) return 'none';
  return zero ? 'native' : 'emulated';
}
