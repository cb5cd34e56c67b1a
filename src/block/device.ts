/**
 * The contract of the toolkit: everything is a BlockDevice.
 *
 * Having a method is the capability. Offsets are bigints in bytes, from 0 to `size`; lengths of one
 * request are numbers in bytes, at least 1 and at most 2^53-1, and never reach past `size`: whoever
 * calls a device checks that first (the server and `checked` do), so that a device may stay naive.
 * A method answers at once when it can and with a promise when it must wait.
 * Failures are thrown (or rejected) as BlockError, which carries a POSIX errno name.
 *
 * How long bytes live: an answer is valid until its request is answered (the server has sent it, a
 * filter has returned) or its range is written; whoever keeps bytes longer copies them, and nobody
 * writes into them. A request that was given up (`signal`) settles no sooner than its memory is out
 * of use.
 *
 * What is atomic: a write that fails or whose client vanishes may leave any of its blocks of
 * `UNTORN` bytes as they were or as they should be, but no block that is a mixture of both.
 */
export interface BlockDevice {
  /** Bytes, 0 to 2^63-1. Fixed while the device is open, but for `resize`. */
  readonly size: bigint;
  /** One line for people; NBD_INFO_DESCRIPTION. */
  readonly description?: string | undefined;
  /** Behaves like a spinning disk. */
  readonly rotational?: boolean | undefined;
  /**
   * Several connections may share the export: what one has flushed, all see.
   * Absent means no; see NBD_FLAG_CAN_MULTI_CONN.
   */
  readonly multiConn?: boolean | undefined;
  /** Constraints on requests; absent means that every offset and length is equally good. */
  readonly blockSize?: BlockSize | undefined;
  /**
   * Durable writes. native: `fua` in the options is honoured; emulated: callers flush afterwards;
   * none: not offered. Absent: emulated where there is `flush`, else none.
   */
  readonly fua?: Support | undefined;
  /** Zeroing where there is no `zero`: emulated (callers write zeroes) unless `none` is said. */
  readonly zeroing?: Exclude<Support, 'native'> | undefined;
  /**
   * `fastZero` of `zero`. native: understood; emulated: callers answer ENOTSUP at once; none: not
   * offered. Absent: none where there is `zero`, else as `zeroing`.
   */
  readonly fastZero?: Support | undefined;
  /** Caching where there is no `cache`: none unless `emulated` (callers read and forget) is said. */
  readonly caching?: Exclude<Support, 'native'> | undefined;
  /**
   * Others may change bytes while it writes them, or has read them into lent memory: it passes them
   * on without a look, or keeps nothing of them. Absent: it is given memory that nobody else can
   * change.
   */
  readonly opaque?: boolean | undefined;
  /** More metadata contexts than base:allocation, which `extents` stands for. */
  readonly contexts?: readonly MetaContext[] | undefined;
  /** What it is made of, for devices that another thread can make again; see block/recipe.ts. */
  readonly recipe?: Recipe | undefined;

  /**
   * Bytes that the device already owns, as one view or several that add up to `length`. A view of
   * `zeroes()` says that the range is known to read as zeroes.
   */
  read(offset: bigint, length: number, options?: ReadOptions): Data | PromiseLike<Data>;
  /** Writes all of `data`, which stays the caller's and must not change until the answer. */
  write?(offset: bigint, data: Uint8Array, options?: WriteOptions): void | PromiseLike<void>;
  /**
   * Lends memory into which the caller puts the `length` bytes of a write instead of calling
   * `write`; undefined: this one goes through `write`. Fails as `write` does. A filter with a
   * `write` of its own has none, unless it lends memory whose `done` does the same.
   */
  writeBuffer?(offset: bigint, length: number): WriteBuffer | undefined;
  /** Everything written before is durable when this has answered. */
  flush?(options?: RequestOptions): void | PromiseLike<void>;
  /** A hint that the range is not needed; it may read as anything afterwards. */
  trim?(offset: bigint, length: number, options?: WriteOptions): void | PromiseLike<void>;
  /** The range reads as zeroes afterwards. */
  zero?(offset: bigint, length: number, options?: ZeroOptions): void | PromiseLike<void>;
  /** A hint that the range will be read soon. */
  cache?(offset: bigint, length: number, options?: RequestOptions): void | PromiseLike<void>;
  /**
   * Runs of one kind from `offset` on: at least one, all but the last within `length`; fewer than
   * cover the range are allowed. Without this method everything is allocated data.
   */
  extents?(
    offset: bigint,
    length: number,
    options?: ExtentsOptions,
  ): Extent[] | PromiseLike<Extent[]>;
  /** Makes the device longer or shorter; `size` is then the new one. For images in files below. */
  resize?(size: bigint, options?: RequestOptions): void | PromiseLike<void>;
  /**
   * Called once; nothing is called after it. Requests may still be under way only if they do not
   * settle although their signal has been aborted and their caller's patience is over.
   */
  close?(): void | PromiseLike<void>;
}

/** How a capability is had: not at all, by its callers' own means, or by the device. */
export type Support = 'none' | 'emulated' | 'native';

/** Bytes of a block, from a multiple of it on, that no failed write leaves torn. */
export const UNTORN = 4096;

/** Gives `length` bytes of memory to write into. */
export type Memory = (length: number) => Uint8Array;

/** Bytes as one view, or as several in order. */
export type Data = Uint8Array | readonly Uint8Array[];

/** Memory lent for one write. It ends with `done` or with `abandon`. */
export interface WriteBuffer {
  /** As many bytes as were asked for; what is put there may be seen by others at once. */
  readonly memory: Data;
  /** All bytes are there. Answers and fails as the write that this is. */
  done(options?: WriteOptions): void | PromiseLike<void>;
  /** Not all bytes came: there are whole blocks of UNTORN bytes at most. */
  abandon(): void;
}

/** Powers of two, in bytes, as NBD_INFO_BLOCK_SIZE has them; `maximum` need not be one. */
export interface BlockSize {
  /** Offsets and lengths must be multiples of this; 1 to 65536. */
  readonly minimum: number;
  /** Requests that are multiples of this are quick; at least 512. */
  readonly preferred: number;
  /** Longest payload of one request; up to 2^32-1. */
  readonly maximum: number;
  /** It is announced, and requests that do not keep to it are served all the same. */
  readonly advisory?: boolean | undefined;
}

export interface RequestOptions {
  /** Nobody waits for the answer any more; the request may fail with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

export interface ReadOptions extends RequestOptions {
  /**
   * Gives memory for the answer to a device without bytes of its own, which asks once and as late
   * as it can; the caller uses it again once it has done with the answer.
   */
  readonly memory?: Memory | undefined;
}

export interface WriteOptions extends RequestOptions {
  /** Durable when the answer comes. */
  readonly fua?: boolean | undefined;
}

export interface ZeroOptions extends WriteOptions {
  /** The range may become a hole. */
  readonly mayTrim?: boolean | undefined;
  /** Fail with ENOTSUP rather than be as slow as writing zeroes. */
  readonly fastZero?: boolean | undefined;
}

export interface ExtentsOptions extends RequestOptions {
  /** Only the first run is wanted. */
  readonly one?: boolean | undefined;
}

/** A run of bytes of one kind. `hole`: takes no space; `zero`: reads as zeroes. */
export interface Extent {
  readonly length: number;
  readonly hole: boolean;
  readonly zero: boolean;
}

/** A metadata context beyond base:allocation, such as qemu:dirty-bitmap:NAME. */
export interface MetaContext {
  /** namespace:leaf */
  readonly name: string;
  /** As `extents`, with the context's own flags. */
  status(
    offset: bigint,
    length: number,
    options?: ExtentsOptions,
  ): StatusRun[] | PromiseLike<StatusRun[]>;
}

export interface StatusRun {
  readonly length: number;
  /** 32 bits, or 64 in contexts that say so. */
  readonly flags: number | bigint;
}

/** What a device is made of: a small tree that any thread can make the same device of again. */
export interface Recipe {
  /** Who makes it, see block/recipe.ts; absent: the plugin that the program runs. */
  readonly by?: string | undefined;
  /** Of what; structured cloning must be able to copy it. */
  readonly from?: unknown;
  /** Over what, below it. */
  readonly over?: readonly Recipe[] | undefined;
}

/** What opens devices: a plugin with its parameters, or a filter over another source. */
export interface DeviceSource {
  /**
   * A client has connected and nothing is opened yet.
   * @throws BlockError to turn it away.
   */
  preconnect?(peer: Peer): void | PromiseLike<void>;
  /**
   * A device for one connection.
   * @throws BlockError ENOENT when there is no such export.
   */
  open(request: OpenRequest): BlockDevice | PromiseLike<BlockDevice>;
  /** The exports to list; absent, or nothing at all: one, the default export. */
  list?(request: ListRequest): Exports | PromiseLike<Exports>;
  /** The name that "" stands for. */
  defaultExport?(request: ListRequest): string | PromiseLike<string>;
  /** The last call, when the server ends. */
  close?(): void | PromiseLike<void>;
}

type Exports = readonly ExportEntry[] | undefined;

export interface ListRequest {
  readonly readOnly: boolean;
  readonly tls: boolean;
  readonly peer: Peer;
}

export interface OpenRequest extends ListRequest {
  /** What the client asks for; "" is the default export where that has no name of its own. */
  readonly exportName: string;
  /** Aborted when the client is gone or the server is closing. */
  readonly signal: AbortSignal;
  /** Ends the connection: after the requests under way, or at once with `force`. */
  disconnect(force?: boolean): void;
}

export interface ExportEntry {
  readonly name: string;
  readonly description?: string | undefined;
}

/** Who is at the other end of a connection. */
export interface Peer {
  readonly family: 'ipv4' | 'ipv6' | 'unix' | 'vsock' | 'pipe';
  readonly address?: string | undefined;
  readonly port?: number | undefined;
  /** Of a process on this machine, by a Unix socket. */
  readonly pid?: number | undefined;
  readonly uid?: number | undefined;
  readonly gid?: number | undefined;
  /** Distinguished names in the certificate that the client has shown. */
  readonly tls?: { readonly subject: string; readonly issuer: string } | undefined;
}

/** The largest size of a device: 2^63-1 bytes. */
export const MAX_SIZE = 2n ** 63n - 1n;
