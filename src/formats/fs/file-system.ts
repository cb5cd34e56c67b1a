import type { BlockDevice, RequestOptions } from '../../block/device.ts';

/**
 * A file system on a device, read and never written. Whatever is damaged fails with a BlockError
 * EIO that names the structure; what is known and cannot be read here fails with ENOTSUP.
 */
export interface FileSystem {
  /** As blkid and mount name it: ext4, vfat, iso9660. */
  readonly type: string;
  /** Empty where it has none. */
  readonly label: string;
  /** As blkid prints it. */
  readonly uuid: string | undefined;
  /** What users have to be told: changes that are in a log and not seen. */
  readonly warnings: readonly string[];
  readonly root: Node;
  /** As statvfs answers. */
  usage(options?: RequestOptions): Promise<Usage>;
  /** Subvolumes that can be mounted by themselves, as btrfs has them. */
  subvolumes?(options?: RequestOptions): Promise<readonly Subvolume[]>;
}

export interface Subvolume {
  /** From the top of the file system on: `home/user`. */
  readonly path: string;
  readonly fileSystem: FileSystem;
}

/** What recognises a file system and opens it. */
export interface FileSystemFormat {
  /** What it is for people: ext, XFS. */
  readonly name: string;
  /** Whether a device begins as one; `start` are its first bytes, 128 KiB or all of it. */
  matches(start: Buffer, device: BlockDevice): boolean;
  /** The device stays the caller's. */
  open(device: BlockDevice, options?: RequestOptions): Promise<FileSystem>;
}

/** Sizes in blocks of `blockSize` bytes; files are -1 where there is no such count. */
export interface Usage {
  readonly blockSize: number;
  readonly blocks: bigint;
  readonly free: bigint;
  /** Without what is kept for root. */
  readonly available: bigint;
  readonly files: bigint;
  readonly filesFree: bigint;
}

export type FileType =
  | 'file'
  | 'directory'
  | 'symlink'
  | 'character'
  | 'block'
  | 'fifo'
  | 'socket'
  | 'unknown';

/** What is said of a file. Times in nanoseconds since 1970. */
export interface Stat {
  readonly type: FileType;
  /** Permissions: 12 bits. */
  readonly mode: number;
  readonly links: number;
  readonly uid: number;
  readonly gid: number;
  /** Bytes. */
  readonly size: bigint;
  /** Of 512 bytes, that are taken. */
  readonly blocks: bigint;
  readonly atime: bigint;
  readonly mtime: bigint;
  readonly ctime: bigint;
  /** The number of the inode; 0 where there are none. */
  readonly inode: bigint;
  /** What a device file stands for. */
  readonly device?: { readonly major: number; readonly minor: number } | undefined;
}

/** A file of any type. */
export interface Node {
  /** The same for all names of one file, and for no other of the file system. */
  readonly id: string;
  readonly stat: Stat;
  /** What is in a directory, without `.` and `..`, in any order. */
  list(options?: RequestOptions): Promise<readonly Entry[]>;
  /** One entry of a directory; absent: it is looked for among all. */
  lookup?(name: string, options?: RequestOptions): Promise<Entry | undefined>;
  /** What a symbolic link says. */
  readlink(options?: RequestOptions): Promise<string>;
  /** The content of a file, with its holes as extents. */
  open(options?: RequestOptions): Promise<BlockDevice>;
  /** Extended attributes by name; absent where the file system is not asked for them. */
  attributes?(options?: RequestOptions): Promise<ReadonlyMap<string, Buffer>>;
}

/** A name in a directory. */
export interface Entry {
  /** Bytes that are not UTF-8 are as `nameOf` has them. */
  readonly name: string;
  node(options?: RequestOptions): Node | PromiseLike<Node>;
}
