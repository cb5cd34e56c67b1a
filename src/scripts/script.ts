import type { Memory, OpenRequest, RequestOptions } from '../block/device.ts';

/**
 * Something that answers the methods of nbdkit's plugins, such as a shell script. How it is asked is
 * its own affair; what it is asked, and what its answers mean, is that of this folder.
 */
export interface Script {
  /** It does by itself one thing at a time, unless its thread model allows more. */
  readonly serial?: boolean;
  /** What errors call it when this method is asked. */
  nameOf(method: string): string;
  /**
   * Asks a method. What goes wrong in the script is told by the status of the reply.
   * @throws BlockError EIO there is no reply.
   */
  call(method: string, words: readonly string[], options: CallOptions): Promise<Reply>;
}

export interface CallOptions extends RequestOptions {
  /** What a method is given to write. */
  readonly input?: Uint8Array | undefined;
  /** Where an answer of data may be put. */
  readonly memory?: Memory | undefined;
  /** Most bytes of the answer. */
  readonly limit: number;
  /** Of the connection, for methods that belong to one. */
  readonly request?: OpenRequest | undefined;
}

/** How a script has answered, in the form of nbdkit's sh plugin. */
export interface Reply {
  readonly status: number;
  readonly output: readonly Uint8Array[];
  /** With a status that is an error: the name of an errno or none, and why. */
  readonly errors: string;
}

/** The statuses that are no error, and those that ask something of the server. */
export const Status = {
  ok: 0,
  error: 1,
  missing: 2,
  false: 3,
  shutdownOk: 4,
  shutdownError: 5,
  disconnectNow: 6,
  disconnectOk: 7,
  disconnectError: 8,
} as const;

/** There is no such method. */
export const MISSING: Reply = { status: Status.missing, output: [], errors: '' };

/** The methods that nbdkit's plugins may have, but for those about parameters. */
export const METHODS = {
  load: 'it is loaded',
  unload: 'the server ends',
  dump_plugin: 'prints more lines for --dump-plugin',
  config: 'takes a parameter: KEY VALUE',
  config_complete: 'all parameters have come',
  thread_model: 'prints how many requests it takes at once, such as parallel',
  get_ready: 'service is about to begin',
  after_fork: 'service begins',
  preconnect: 'a client has come: READONLY',
  list_exports: 'prints the exports: READONLY TLS',
  default_export: 'prints the export that has no name: READONLY TLS',
  open: 'prints a handle for a connection: READONLY EXPORT TLS',
  close: 'the connection is over: HANDLE',
  export_description: 'prints a line about the export: HANDLE',
  get_size: 'prints the size: HANDLE',
  block_size: 'prints MINIMUM PREFERRED MAXIMUM: HANDLE',
  can_write: 'it may be written: HANDLE',
  can_flush: 'it can be flushed: HANDLE',
  is_rotational: 'it is like a spinning disk: HANDLE',
  can_trim: 'it can be trimmed: HANDLE',
  can_zero: 'it can be zeroed: HANDLE',
  can_fast_zero: 'it knows when zeroing is slow: HANDLE',
  can_extents: 'it knows what is allocated: HANDLE',
  can_fua: 'prints none, emulate or native: HANDLE',
  can_multi_conn: 'clients may have several connections: HANDLE',
  can_cache: 'prints none, emulate or native: HANDLE',
  pread: 'prints data: HANDLE COUNT OFFSET',
  pwrite: 'reads data: HANDLE COUNT OFFSET FLAGS',
  flush: 'makes data durable: HANDLE',
  trim: 'forgets data: HANDLE COUNT OFFSET FLAGS',
  zero: 'zeroes: HANDLE COUNT OFFSET FLAGS',
  extents: 'prints OFFSET LENGTH TYPE lines: HANDLE COUNT OFFSET FLAGS',
  cache: 'gets data ready: HANDLE COUNT OFFSET',
} as const;

/** The methods that say whether others are of use, where those alone are enough. */
const IMPLIED: Readonly<Record<string, string>> = {
  can_write: 'pwrite',
  can_flush: 'flush',
  can_trim: 'trim',
  can_zero: 'zero',
  can_extents: 'extents',
  can_cache: 'cache',
};

/** What a method that is missing would answer, as nbdkit fills it in for plugins in C. */
export function impliedReply(method: string, has: (method: string) => boolean): Reply {
  const other = IMPLIED[method];
  if (other === undefined || !has(other)) return MISSING;
  return { status: Status.ok, output: [Buffer.from('native')], errors: '' };
}
