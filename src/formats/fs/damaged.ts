import { BlockError } from '../../block/errors.ts';

/** What is damaged: the file system, its structure, why. */
export function damaged(where: string, why: string): BlockError {
  return new BlockError('EIO', `${where}: ${why}`);
}

/** What is not read here. */
export function unsupported(where: string, what: string): BlockError {
  return new BlockError('ENOTSUP', `${where}: ${what} is not supported`);
}

/** What is asked of a file of another type. */
export function wrongType(what: string): BlockError {
  return new BlockError('EINVAL', `it is no ${what}`);
}

/** Most entries of a directory that are listed; more is taken for damage. */
export const MOST_ENTRIES = 1 << 22;
/** Most bytes of the target of a symbolic link. */
export const LONGEST_LINK = 65536;
