/** Numbers of the interface of VixDiskLib, as VMware's "Virtual Disk Programming Guide" has them. */
import type { Errno } from '../../block/errors.ts';

export const OK = 0;
/** A request was taken, and its end will be told. */
export const ASYNC = 25000;

/** Codes of VixError: its low 16 bits. */
export const FAIL = 1;
export const ERRNOS: Readonly<Record<number, Errno>> = {
  2: 'ENOMEM',
  3: 'EINVAL',
  4: 'ENOENT',
  5: 'EBUSY',
  6: 'ENOTSUP',
  8: 'ENOSPC',
  11: 'EROFS',
  13: 'EACCES',
  15: 'EBUSY',
};

export const SECTOR = 512;
/** Least that may be asked about at once, in sectors, and how many of those at most. */
export const CHUNK = 128;
export const MOST_CHUNKS = 512 << 10;

export const OpenFlag = { unbuffered: 1, singleLink: 2, readOnly: 4 } as const;
/** As flags of opening. */
export const COMPRESSIONS = { none: 0, zlib: 16, fastlz: 32, skipz: 64 } as const;
export const CredentialType = { user: 1, session: 2 } as const;

export const DISK_TYPES = {
  'monolithic-sparse': 1,
  'monolithic-flat': 2,
  'split-sparse': 3,
  'split-flat': 4,
  'vmfs-flat': 5,
  'stream-optimized': 6,
  'vmfs-thin': 7,
  'vmfs-sparse': 8,
} as const;

export const ADAPTERS = { ide: 1, 'scsi-buslogic': 2, 'scsi-lsilogic': 3 } as const;

export const HARDWARE = {
  workstation4: 3,
  workstation5: 4,
  workstation6: 6,
  esx30: 4,
  esx4x: 7,
  esx50: 8,
  esx51: 9,
  esx55: 10,
  esx60: 11,
  esx65: 13,
} as const;
