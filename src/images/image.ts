import type { BlockDevice, RequestOptions } from '../block/device.ts';
import type {
  ParameterDeclarations,
  ParameterValues,
  RawParameter,
} from '../declare/parameters.ts';
import type { BitmapBits } from './bitmap-bits.ts';
import type { Run } from './run.ts';

/**
 * The contract of image formats: a format opens the file of an image, which is any device, and gives
 * the disk that it holds, which is another. It does no I/O of its own; other files that an image
 * names it gets only from the neighbours that whoever opens it grants.
 */
export interface ImageFormat<D extends ParameterDeclarations = ParameterDeclarations> {
  /** As qemu calls it. */
  readonly name: string;
  /** Opens an image. What it was given is closed with the image's device, and not when this fails. */
  open(file: BlockDevice, context: OpenImage): Promise<Image>;
  /** What one can choose of a new image: `-o` of nbdimg create. */
  readonly options?: D;
  /** What can be changed of an image later: `-o` of nbdimg amend. */
  readonly amendOptions?: ParameterDeclarations;
  /** Makes a new image in a file, over whatever is there. @throws UsageError; BlockError */
  create?(
    file: BlockDevice,
    size: bigint,
    options: ParameterValues<D>,
    context: OpenImage,
  ): Promise<void>;
  /** How large a file becomes that holds such a disk. */
  measure?(disk: MeasuredDisk, options: ParameterValues<D>): Promise<Measured>;
}

/** A disk that is to be stored. */
export interface MeasuredDisk {
  /** In bytes. */
  readonly size: bigint;
  /** How many units of so many bytes have data. */
  used(unit: number): Promise<bigint>;
  /** Its persistent bitmaps, where there could be some. */
  readonly bitmaps?: readonly BitmapFacts[] | undefined;
}

/** Bytes of a file, with the data that there is and if there were data everywhere. */
export interface Measured {
  readonly required: bigint;
  readonly full: bigint;
  /** Of the bitmaps, beside that. */
  readonly bitmaps?: bigint | undefined;
}

export interface BitmapFacts {
  readonly name: string;
  /** Bytes of the disk for each bit. */
  readonly granularity: number;
}

/** Types the options of a format from its declaration. */
export function defineFormat<const D extends ParameterDeclarations>(
  format: ImageFormat<D>,
): ImageFormat<D> {
  return format;
}

/** How an image is opened. */
export interface OpenImage extends RequestOptions {
  readonly readOnly: boolean;
  /** What the file is called, for messages and for names beside it; undefined where it has no name. */
  readonly name?: string | undefined;
  readonly neighbours: Neighbours;
  /** Whether it is only to be looked at: no backing file and no data is read. */
  readonly alone?: boolean | undefined;
  /** To be checked or repaired: what makes it useless otherwise is not refused. */
  readonly checking?: boolean | undefined;
  /** The secret of an encrypted image. @throws UsageError there is none. */
  secret?(): Promise<Buffer> | Buffer;
  /** An internal snapshot to show, by its id or name. */
  readonly snapshot?: string | undefined;
}

/** The other files that an image may name. */
export interface Neighbours {
  /** A file beside the image, as it is. @throws BlockError it is refused, or cannot be opened. */
  file(name: string, readOnly: boolean): Promise<BlockDevice>;
  /** A new, empty file beside the image; absent: none can be made. */
  create?(name: string): Promise<BlockDevice>;
  /** The image in such a file, for reading. @param format undefined: whatever it is. */
  image(name: string, format: string | undefined): Promise<Image>;
}

/** Opens the files that images name: whoever opens an image grants one. */
export interface Files {
  /**
   * @param from the name of the image that names it.
   * @throws BlockError EPERM that name is refused; what the system says.
   */
  open(name: string, from: string | undefined, readOnly: boolean): Promise<NamedFile>;
  /** A new, empty file in the place of whatever was called so. @throws as `open` */
  create?(name: string, from: string | undefined): Promise<BlockDevice>;
}

/** A file, and what it is called. */
export interface NamedFile {
  readonly device: BlockDevice;
  readonly name?: string | undefined;
  /** The same for each name of the same file. */
  readonly identity?: string | undefined;
  /**
   * Says to other programs how it is used, until it is closed.
   * @throws BlockError EBUSY they do not allow it.
   */
  use?(isRaw: boolean): void;
}

/** An image that is open. */
export interface Image {
  readonly format: string;
  /** The disk that it holds, through its backing files; its `close` closes them and the file. */
  readonly device: BlockDevice;
  readonly facts: ImageFacts;
  /** The image that shows where this one has nothing. */
  readonly backing?: Image | undefined;
  /** Where a range of the disk is in this image alone. */
  find?(offset: bigint, length: number): Run | PromiseLike<Run>;
  /** Where its files end, and what is wrong with it. @param repair what is mended. */
  check?(repair?: 'leaks' | 'all'): Promise<CheckReport>;
  /** The disk as one that is written in whole clusters, compressed. */
  readonly compressed?: BlockDevice | undefined;
  readonly snapshots?: Snapshots | undefined;
  readonly bitmaps?: Bitmaps | undefined;
  /** Changes options that the image was made with. @throws UsageError; BlockError */
  amend?(words: readonly RawParameter[], amending: Amending): Promise<void>;
  /** Names another backing file, or none; what is in it is not looked at. */
  setBacking?(name: string | undefined, format: string | undefined): Promise<void>;
  /** Nothing of the disk is in the image any more: all of it is as the backing file has it. */
  empty?(): Promise<void>;
}

/** What changes of options may need. */
export interface Amending {
  /** The secret of an id. @throws UsageError there is none. */
  secret(id: string | undefined): Buffer;
  /** Also what cannot be undone. */
  readonly force: boolean;
}

/** What an image says of itself. */
export interface ImageFacts {
  readonly clusterSize?: number | undefined;
  readonly encrypted?: boolean | undefined;
  readonly compressed?: boolean | undefined;
  /** It was not closed in order. */
  readonly dirty?: boolean | undefined;
  readonly backing?: { readonly name: string; readonly format?: string | undefined } | undefined;
  readonly snapshots?: readonly Snapshot[] | undefined;
  /** What only this format has, in qemu's words. */
  readonly specific?: Readonly<Record<string, unknown>> | undefined;
}

/** An internal snapshot. */
export interface Snapshot {
  readonly id: string;
  readonly name: string;
  /** Bytes of the state of a virtual machine. */
  readonly stateSize: bigint;
  /** Seconds since 1970, and nanoseconds. */
  readonly seconds: number;
  readonly nanoseconds: number;
  /** Of the virtual machine, in nanoseconds. */
  readonly clock: bigint;
  readonly instructions?: bigint | undefined;
  readonly diskSize?: bigint | undefined;
}

/** The internal snapshots of an image. Nobody writes to it meanwhile. */
export interface Snapshots {
  list(): readonly Snapshot[];
  /** @param now seconds since 1970 */
  create(name: string): Promise<void>;
  /** @param which an id or a name. @throws BlockError ENOENT */
  apply(which: string): Promise<void>;
  remove(which: string): Promise<void>;
}

/** The persistent bitmaps of changed blocks of an image; `save` writes what was changed. */
export interface Bitmaps {
  list(): readonly BitmapFacts[];
  /** @param granularity bytes of the disk for each bit, a power of two. */
  add(name: string, granularity?: number, auto?: boolean): void;
  remove(name: string): void;
  clear(name: string): void;
  /** Whether changes of the disk are noted in it. */
  enable(name: string, auto: boolean): void;
  /** What another bitmap says is said here, too. */
  merge(name: string, other: BitmapBits): Promise<void>;
  bits(name: string): Promise<BitmapBits>;
  save(): Promise<void>;
}

/** What was found when an image was looked through. */
export interface CheckReport {
  /** Lines for people, in the order in which they were found. */
  readonly findings: readonly string[];
  readonly corruptions: number;
  readonly leaks: number;
  readonly corruptionsFixed: number;
  readonly leaksFixed: number;
  /** What could not be looked at. */
  readonly errors: number;
  /** Where what is in use ends in the file, in bytes. */
  readonly endOffset?: number | undefined;
  readonly totalClusters?: number | undefined;
  readonly allocatedClusters?: number | undefined;
  readonly fragmentedClusters?: number | undefined;
  readonly compressedClusters?: number | undefined;
}
