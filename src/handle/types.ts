import type { BlockDevice, Extent, StatusRun } from '../block/device.ts';
import type { CallOptions } from './deadline.ts';
import type { Operation } from './errors.ts';

/** An offset or a size in bytes, as people write it. */
export type Offset = number | bigint;

export interface DiskWriteOptions extends CallOptions {
  /** Durable when it is done. */
  readonly fua?: boolean | undefined;
}

export interface DiskZeroOptions extends DiskWriteOptions {
  /** The range may become a hole. */
  readonly mayTrim?: boolean | undefined;
  /** Fail with ENOTSUP rather than be as slow as writing zeroes. */
  readonly fastZero?: boolean | undefined;
}

/** A part of a disk; all of it unless said. */
export interface RangeOptions extends CallOptions {
  readonly from?: Offset | undefined;
  /** The first byte that is not in it any more. */
  readonly to?: Offset | undefined;
}

/** A run of bytes of one kind. */
export interface DiskExtent extends Extent {
  readonly offset: bigint;
}

/** A run of bytes of one status in some metadata context. */
export interface DiskStatus extends StatusRun {
  readonly offset: bigint;
}

/** What a disk can do; what it cannot is rejected with EPERM or ENOTSUP. */
export interface Capabilities {
  readonly write: boolean;
  readonly flush: boolean;
  readonly trim: boolean;
  /** Also where zeroes have to be written. */
  readonly zero: boolean;
  readonly fastZero: boolean;
  readonly cache: boolean;
  readonly fua: boolean;
  /** It says where there are holes. */
  readonly extents: boolean;
  /** Several connections may be open to it. */
  readonly multiConn: boolean;
}

export interface OperationStatistics {
  readonly requests: number;
  readonly bytes: number;
  readonly errors: number;
}

export type DiskStatistics = Readonly<Record<Operation, OperationStatistics>>;

export interface DiskOptions {
  /** For errors; "" unless said. */
  readonly exportName?: string | undefined;
  /** Requests are checked before they are made; true unless said. */
  readonly strict?: boolean | undefined;
  /** Told of each request as it is made, and of each that fails. */
  readonly debug?: ((message: string) => void) | undefined;
  /** The devices that `device` uses in turn. */
  readonly connections?: readonly BlockDevice[] | undefined;
  /** Hangs up on a server that is silent. */
  readonly drop?: (() => void) | undefined;
}
