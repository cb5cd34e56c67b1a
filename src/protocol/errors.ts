import { BlockError, type Errno } from '../block/errors.ts';

/** A peer that does not keep to the protocol; the connection is of no more use. */
export class ProtocolError extends BlockError {
  override readonly name = 'ProtocolError';

  constructor(message: string) {
    super('EPROTO', message);
  }
}

/** 'Error values'. */
const NUMBERS: Readonly<Partial<Record<Errno, number>>> = {
  EPERM: 1,
  EIO: 5,
  ENOMEM: 12,
  EINVAL: 22,
  ENOSPC: 28,
  EOVERFLOW: 75,
  ENOTSUP: 95,
  ESHUTDOWN: 108,
  EACCES: 1,
  EROFS: 1,
};

const NAMES = new Map<number, Errno>([
  [1, 'EPERM'],
  [5, 'EIO'],
  [12, 'ENOMEM'],
  [22, 'EINVAL'],
  [28, 'ENOSPC'],
  [75, 'EOVERFLOW'],
  [95, 'ENOTSUP'],
  [108, 'ESHUTDOWN'],
]);

/** The NBD error for an errno; what NBD does not know is NBD_EIO. */
export function errorNumber(errno: Errno): number {
  return NUMBERS[errno] ?? NUMBERS.EIO!;
}

/** The errno of an NBD error; an unknown one counts as NBD_EINVAL, as the document says. */
export function errnoOfNumber(number: number): Errno {
  return NAMES.get(number) ?? 'EINVAL';
}
