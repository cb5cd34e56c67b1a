import type { ReadsUnderWay } from './reads-under-way.ts';

/** What an image knows of a range of its disk. */
export type RunKind =
  /** Nothing: it reads as the backing file has it, or as zeroes. */
  | 'absent'
  | 'zero'
  | 'data'
  /** Compressed, to be unpacked cluster by cluster. */
  | 'packed';

/** A range of a disk of one kind, and where in the image's file it lies. */
export interface Run {
  readonly kind: RunKind;
  /** Bytes of the disk. */
  readonly length: number;
  /** Where in the file its first byte is, in bytes: of data, and of zeroes that have room there. */
  readonly at?: number | undefined;
  /** Data that must not be changed where it is: others share it. */
  readonly shared?: boolean | undefined;
}

/** Where the bytes of a disk lie in the file of an image, backing files apart. */
export interface Mapping {
  /** Bytes of the disk. */
  readonly size: bigint;
  /**
   * The run that begins at `offset`, cut to `length` bytes, or only the beginning of it.
   * @throws BlockError EIO the image is damaged there.
   */
  find(offset: bigint, length: number): Run | PromiseLike<Run>;
}

/** Room in the file for a range of the disk. */
export interface Place {
  /** In the file, in bytes. */
  readonly at: number;
  /** Bytes, whole units, at most what was asked for. */
  readonly length: number;
  /** It reads as zeroes. */
  readonly fresh: boolean;
}

/**
 * How a mapping grows. Offsets and lengths are whole units, but for the end of the disk; while one
 * of these calls is answered there is no other for the same clusters.
 */
export interface Allocation {
  /** Bytes that are written together when any of them is written for the first time. */
  readonly unit: number;
  /** Bytes of a cluster, a multiple of the unit. */
  readonly cluster: number;
  /** Finds room for a range of which the mapping has no data. @throws BlockError ENOSPC */
  place(offset: bigint, length: number): Place | PromiseLike<Place>;
  /** The data is in its place: from now on the mapping leads there. */
  commit(offset: bigint, place: Place): void | PromiseLike<void>;
  /** The data could not be written: the place is free again. */
  abandon?(place: Place): void;
  /** What is freed is kept as long as it may be read. */
  readonly reads?: ReadsUnderWay | undefined;
  /** Bytes that `zero` takes as a whole: a unit unless told. */
  readonly zeroUnit?: number | undefined;
  /** The range reads as zeroes from now on; absent: zeroes are written. */
  readonly zero?:
    | ((offset: bigint, length: number, mayTrim: boolean) => void | PromiseLike<void>)
    | undefined;
  /** Whole clusters may lose their room. */
  readonly discard?: ((offset: bigint, length: number) => void | PromiseLike<void>) | undefined;
  /** All that was committed is durable when this has answered. */
  flush(): Promise<void>;
}
