import { getSystemErrorMap } from 'node:util';

/** The POSIX errors that a device may answer with; the last ones only reach local callers. */
const ERRNOS = [
  'EPERM',
  'EIO',
  'ENOMEM',
  'EINVAL',
  'ENOSPC',
  'EOVERFLOW',
  'ENOTSUP',
  'ESHUTDOWN',
  'ENOENT',
  'EACCES',
  'EROFS',
  'EBUSY',
  'EPROTO',
  'ECONNRESET',
  'ETIMEDOUT',
] as const;

export type Errno = (typeof ERRNOS)[number];

/** A failure of a device: what happened, in words, and the errno that travels with it. */
export class BlockError extends Error {
  override readonly name: string = 'BlockError';
  readonly errno: Errno;
  /** The same under the name that Node's own errors have for it. */
  readonly code: string;
  /** Where in the device, in bytes, when it is known. */
  readonly offset: bigint | undefined;

  constructor(
    errno: Errno,
    message: string,
    { offset, cause }: { offset?: bigint | undefined; cause?: unknown } = {},
  ) {
    super(message, cause === undefined ? undefined : { cause });
    this.errno = errno;
    this.offset = offset;
    this.code = errno;
  }
}

/** Bad words from whoever started the program: parameters, options, configuration. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
  /** Lines to show under the message: what was typed, and a caret at the place. */
  readonly excerpt: string | undefined;

  constructor(message: string, excerpt?: string) {
    super(message);
    this.excerpt = excerpt;
  }
}

/** Acts, and puts what it is about before the words of a UsageError. */
export function naming<T>(subject: string, act: () => T): T {
  try {
    return act();
  } catch (error) {
    if (error instanceof UsageError) {
      throw new UsageError(`${subject}: ${error.message}`, error.excerpt);
    }
    throw error;
  }
}

const KNOWN: ReadonlySet<string> = new Set(ERRNOS);

/** The errno of anything thrown: a BlockError's own, a Node system error's code, else EIO. */
export function errnoOf(error: unknown): Errno {
  if (error instanceof BlockError) return error.errno;
  const code = (error as NodeJS.ErrnoException | null)?.code;
  if (code === 'EDQUOT' || code === 'EFBIG') return 'ENOSPC';
  if (code === 'EOPNOTSUPP') return 'ENOTSUP';
  return code !== undefined && KNOWN.has(code) ? (code as Errno) : 'EIO';
}

/** The words of anything thrown, without a stack. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The system's words without the code before them, and the call and path after them, that Node adds. */
export function reasonOf(error: unknown): string {
  const words = messageOf(error);
  return /^[A-Z0-9]+: ([^,]+)/.exec(words)?.[1] ?? reasonOfSocket(error) ?? words;
}

/** Node names only the code there, as in `connect ECONNREFUSED 127.0.0.1:10809`. */
function reasonOfSocket(error: unknown): string | undefined {
  const { errno, syscall } = (error ?? {}) as NodeJS.ErrnoException;
  if (typeof errno !== 'number' || syscall === undefined) return undefined;
  return getSystemErrorMap().get(errno)?.[1];
}
