/** What a server's refusals mean, in a person's words. */
import type { BlockSize } from '../block/device.ts';
import { BlockError, type Errno } from '../block/errors.ts';
import { Command, Rep } from '../protocol/constants.ts';
import { errnoOfNumber } from '../protocol/errors.ts';
import { harmless } from '../protocol/text.ts';
import type { Request } from './pending.ts';

const OPTION_ERRORS: Readonly<Record<number, readonly [Errno, string]>> = {
  [Rep.errUnsup]: ['ENOTSUP', 'it does not know how to answer that'],
  [Rep.errPolicy]: ['EPERM', 'its policy forbids it'],
  [Rep.errInvalid]: ['EINVAL', 'it calls the question malformed'],
  [Rep.errPlatform]: ['ENOTSUP', 'it cannot do that on its platform'],
  [Rep.errTlsReqd]: ['EACCES', 'it wants an encrypted connection (TLS)'],
  [Rep.errUnknown]: ['ENOENT', 'it has no such export, or cannot open it'],
  [Rep.errShutdown]: ['ESHUTDOWN', 'it is shutting down'],
  [Rep.errBlockSizeReqd]: ['EINVAL', 'it serves only clients that ask for its block sizes'],
  [Rep.errTooBig]: ['EOVERFLOW', 'the question or its answer is too long'],
  [Rep.errExtHeaderReqd]: ['ENOTSUP', 'it serves this only with extended headers'],
};

/** The server refused an option; the negotiation may go on. */
export class OptionError extends BlockError {
  /** One of the NBD_REP_ERR numbers. */
  readonly reply: number;

  /** @param text the server's own words, if it sent any. */
  constructor(what: string, reply: number, text: string) {
    const [errno, words] = OPTION_ERRORS[reply] ?? ['EINVAL', `error 0x${reply.toString(16)}`];
    super(errno, `the server refused ${harmless(what)}: ${words}${quoted(text)}`);
    this.reply = reply;
  }
}

const MEANINGS: Readonly<Partial<Record<Errno, string>>> = {
  EPERM: 'it is not permitted',
  EIO: 'it failed there',
  ENOMEM: 'the server is out of memory',
  EINVAL: 'the server does not take such a request',
  ENOSPC: 'there is no space left',
  EOVERFLOW: 'the answer would be too long',
  ENOTSUP: 'the server cannot do that',
  ESHUTDOWN: 'the server is shutting down',
};

/** What servers that announce no block size may still want multiples of. */
const SECTOR = 512;

const COMMANDS: Readonly<Record<number, string>> = {
  [Command.read]: 'read',
  [Command.write]: 'write',
  [Command.flush]: 'flush',
  [Command.trim]: 'trim',
  [Command.cache]: 'cache',
  [Command.writeZeroes]: 'write zeroes',
  [Command.blockStatus]: 'block status',
};

/**
 * A request that the server has answered with an NBD error number.
 * @param text the server's own words, if it sent any.
 * @param offset where it failed.
 */
export function requestError(
  number: number,
  text: string,
  request: Request,
  blockSize: BlockSize | undefined,
  offset = request.offset,
): BlockError {
  const errno = errnoOfNumber(number);
  const place = offset === request.offset ? '' : ` at ${offset}`;
  const known = errno === 'EINVAL' ? brokenRule(request, blockSize) : undefined;
  const meaning = known ?? (text === '' ? MEANINGS[errno] : undefined);
  const words = meaning === undefined ? '' : `, ${meaning}`;
  const message = `${describe(request)} failed${place}: ${errno}${words}${quoted(text)}`;
  return new BlockError(errno, message, { offset });
}

/** Such as `read of 512 bytes at 4096`. */
function describe({ type, offset, length }: Request): string {
  const name = COMMANDS[type] ?? `command ${type}`;
  if (type === Command.flush) return name;
  // Its length may be that of its payload.
  return type === Command.blockStatus
    ? `${name} at ${offset}`
    : `${name} of ${length} bytes at ${offset}`;
}

/** Which of the server's constraints the request does not keep to. */
function brokenRule(
  { type, offset, length }: Request,
  blockSize: BlockSize | undefined,
): string | undefined {
  if (type === Command.flush || type === Command.blockStatus) return undefined;
  const wholeBlocks = (size: number) => offset % BigInt(size) === 0n && length % size === 0;
  if (!blockSize) {
    return wholeBlocks(SECTOR) ? undefined : 'the server may take only whole blocks';
  }
  const { minimum, maximum } = blockSize;
  if (!wholeBlocks(minimum)) return `the server takes whole blocks of ${minimum} bytes`;
  const carries = type === Command.read || type === Command.write;
  return carries && length > maximum ? `the server takes at most ${maximum} bytes` : undefined;
}

const quoted = (text: string) => (text === '' ? '' : `: ${harmless(text)}`);
