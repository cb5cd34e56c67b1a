/**
 * The contract of the toolkit: everything is a BlockDevice.
 *
 * Having a method is the capability. Offsets are bigints in bytes, from 0 to `size`; lengths of one
 * request are numbers in bytes, at least 1 and at most 2^53-1, and never reach past `size`: whoever
 * calls a device checks that first (the server and `checked` do), so that a device may stay naive.
 * A method answers at once when it can and with a promise when it must wait.
 * Failures are thrown (or rejected) as BlockError, which carries a POSIX errno name.
 */
export interface BlockDevice {
  /** Bytes, 0 to 2^63-1. Fixed while the device is open. */
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
  /** `fua` in the options is honoured by the device itself; otherwise callers flush after writing. */
  readonly fua?: boolean | undefined;
  /** `fastZero` in the options of `zero` is understood. */
  readonly fastZero?: boolean | undefined;
  /** More metadata contexts than base:allocation, which `extents` stands for. */
  readonly contexts?: readonly MetaContext[] | undefined;
  /**
   * For devices whose state is outside the program or in memory that threads share, or that have
   * none: what its plugin's `revive` makes the same device of, in any thread. Structured cloning must
   * be able to copy it. Such a device stays open, and unused, for as long as the other one is in use.
   */
  readonly portable?: unknown;

  /**
   * Bytes that the device already owns, as one view or several that add up to `length`.
   * Nobody writes into them. A view of `zeroes()` says that the range is known to read as zeroes.
   * @param memory gives memory for the answer to a device without bytes of its own, which asks once
   * and as late as it can; the caller uses it again once it has done with the answer.
   */
  read(offset: bigint, length: number, memory?: Memory): Data | Promise<Data>;
  /** Writes all of `data`, which stays the caller's and must not change until the answer. */
  write?(offset: bigint, data: Uint8Array, options?: WriteOptions): void | Promise<void>;
  /**
   * Memory of the device's own into which the caller may put the `length` bytes of a write instead
   * of calling `write`; undefined: this one goes through `write`. A caller that puts in only a part
   * has written only that part.
   */
  landing?(offset: bigint, length: number): Data | undefined;
  /** Everything written before is durable when this has answered. */
  flush?(): void | Promise<void>;
  /** A hint that the range is not needed; it may read as anything afterwards. */
  trim?(offset: bigint, length: number, options?: WriteOptions): void | Promise<void>;
  /** The range reads as zeroes afterwards. */
  zero?(offset: bigint, length: number, options?: ZeroOptions): void | Promise<void>;
  /** A hint that the range will be read soon. */
  cache?(offset: bigint, length: number): void | Promise<void>;
  /**
   * Runs of one kind from `offset` on: at least one, all but the last within `length`; fewer than
   * cover the range are allowed. Without this method everything is allocated data.
   */
  extents?(offset: bigint, length: number): Extent[] | Promise<Extent[]>;
  /** Called once; nothing is called after it. */
  close?(): void | Promise<void>;
}

/** Gives `length` bytes of memory to write into. */
export type Memory = (length: number) => Uint8Array;

/** Bytes as one view, or as several in order. */
export type Data = Uint8Array | readonly Uint8Array[];

/** Powers of two, in bytes, as NBD_INFO_BLOCK_SIZE has them; `maximum` need not be one. */
export interface BlockSize {
  /** Offsets and lengths must be multiples of this; 1 to 65536. */
  readonly minimum: number;
  /** Requests that are multiples of this are quick; at least 512. */
  readonly preferred: number;
  /** Longest payload of one request; up to 2^32-1. */
  readonly maximum: number;
}

export interface WriteOptions {
  /** Durable when the answer comes. */
  readonly fua?: boolean | undefined;
}

export interface ZeroOptions extends WriteOptions {
  /** The range may become a hole. */
  readonly mayTrim?: boolean | undefined;
  /** Fail with ENOTSUP rather than be as slow as writing zeroes. */
  readonly fastZero?: boolean | undefined;
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
  status(offset: bigint, length: number): StatusRun[] | Promise<StatusRun[]>;
}

export interface StatusRun {
  readonly length: number;
  /** 32 bits, or 64 in contexts that say so. */
  readonly flags: number | bigint;
}

/** What opens devices: a plugin with its parameters, or a filter over another source. */
export interface DeviceSource {
  /**
   * A device for one connection.
   * @throws BlockError ENOENT when there is no such export.
   */
  open(request: OpenRequest): BlockDevice | Promise<BlockDevice>;
  /** The exports to list; absent: one, the default export. */
  list?(request: ListRequest): ExportEntry[] | Promise<ExportEntry[]>;
  /** The name that "" stands for. */
  defaultExport?(request: ListRequest): string | Promise<string>;
  /** The last call, when the server ends. */
  close?(): void | Promise<void>;
}

export interface ListRequest {
  readonly readOnly: boolean;
  readonly tls: boolean;
  readonly peer: Peer;
}

export interface OpenRequest extends ListRequest {
  /** As the client sent it; "" is the default export. */
  readonly exportName: string;
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
}

/** The largest size of a device: 2^63-1 bytes. */
export const MAX_SIZE = 2n ** 63n - 1n;
