/** What goes into a FAT file system. */
export interface FatDirectory {
  readonly name: string;
  readonly times: FatTimes;
  readonly directories: readonly FatDirectory[];
  readonly files: readonly FatFile[];
}

export interface FatFile {
  readonly name: string;
  readonly times: FatTimes;
  /** Bytes, up to 2^32-1. */
  readonly size: number;
  /** Where its contents are; not looked at here. */
  readonly path: string;
}

/** In local time on the disk, as FAT has no time zones. */
export interface FatTimes {
  readonly created: Date;
  readonly modified: Date;
  readonly accessed: Date;
}
