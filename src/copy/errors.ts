import { BlockError, errnoOf, messageOf } from '../block/errors.ts';

/** The error with what failed and where, at an offset in bytes. */
export function located(what: string, offset: bigint, error: unknown): BlockError {
  const words = `${what} at offset ${offset} failed: ${messageOf(error)}`;
  return new BlockError(errnoOf(error), words, { offset, cause: error });
}

/** The error of every copy whose destination has no room for the source. */
export function tooSmall(): BlockError {
  return new BlockError('ENOSPC', 'destination size is smaller than source size');
}
