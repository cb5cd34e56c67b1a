/** What blocks are hashed with, by the names of node:crypto. */
export const DIGESTS = ['md5', 'sha1', 'sha256', 'sha512'] as const;

/** How the hash of a disk is made. */
export interface HashForm {
  readonly digest: (typeof DIGESTS)[number];
  /** Bytes of a block, a power of two. */
  readonly blockSize: number;
}

/** Unless said. */
export const DEFAULT_FORM: HashForm = { digest: 'sha256', blockSize: 64 << 10 };
