import { UsageError } from '../../block/errors.ts';
import { parseSize } from '../../block/size.ts';
import { DEFAULT_FORM, DIGESTS, type HashForm } from '../../copy/hash/form.ts';
import type { CommandLine, Options } from '../cli.ts';
import { STANDARD } from '../standard.ts';

export const OPTIONS = {
  allocated: { names: ['allocated'] },
  blkhash: { names: ['blkhash'], value: 'optional' },
  blkhashFile: { names: ['blkhash-file'], value: 'required', values: 'file' },
  connections: { names: ['C', 'connections'], value: 'required' },
  destinationIsZero: { names: ['destination-is-zero', 'target-is-zero'] },
  flush: { names: ['flush'] },
  noExtents: { names: ['no-extents'] },
  noSharedMemory: { names: ['no-shared-memory'] },
  progress: { names: ['p', 'progress'], value: 'optional' },
  queueSize: { names: ['queue-size'], value: 'required' },
  requestSize: { names: ['request-size'], value: 'required' },
  requests: { names: ['R', 'requests'], value: 'required' },
  resume: { names: ['resume'], value: 'required', values: 'file' },
  retries: { names: ['retries'], value: 'required' },
  sparse: { names: ['S', 'sparse'], value: 'required' },
  synchronous: { names: ['synchronous'] },
  threads: { names: ['T', 'threads'], value: 'required' },
  verify: { names: ['verify'] },
  verbose: { names: ['v', 'verbose'] },
  ...STANDARD,
} as const satisfies Options;

type Key = keyof typeof OPTIONS;

/** How to copy; sizes in bytes. */
export interface Settings {
  /** Zeroes take space at the destination. */
  readonly allocated: boolean;
  /** The hash to make of what is copied. */
  readonly blkhash: HashForm | undefined;
  /** Where it goes; undefined: standard output. */
  readonly blkhashFile: string | undefined;
  /** Most connections to one server; undefined: as fits. */
  readonly connections: number | undefined;
  readonly destinationIsZero: boolean;
  readonly flush: boolean;
  /** Ask the source where its holes are. */
  readonly extents: boolean;
  /** A bar on the terminal, or numbers to a file descriptor. */
  readonly progress: 'bar' | number | undefined;
  /** Most bytes under way in all; undefined: as fits. */
  readonly queueSize: number | undefined;
  /** Bytes of a request; undefined: as fits. */
  readonly requestSize: number | undefined;
  /** Most requests under way on one connection. */
  readonly requests: number;
  /** The journal of a copy that may be interrupted. */
  readonly resume: string | undefined;
  /** How often a lost connection is made again. */
  readonly retries: number;
  /** Share memory with servers on this machine. */
  readonly sharedMemory: boolean;
  /** Size of the blocks that are searched for zeroes; 0: none; undefined: as fits. */
  readonly sparse: number | undefined;
  /** One request after the other. */
  readonly synchronous: boolean;
  /** Most threads that hash; undefined: one for each processor. */
  readonly threads: number | undefined;
  readonly verbose: boolean;
  /** Read the copy back and compare it. */
  readonly verify: boolean;
}

const DEFAULT_REQUESTS = 64;
const SMALLEST_REQUEST = 4096;
const LARGEST_REQUEST = 32 << 20;
const SMALLEST_SPARSE = 512;
const MANY = 2 ** 31 - 1;

/** @throws UsageError */
export function readSettings(given: CommandLine<Key>['given']): Settings {
  const has = (key: Key) => given.some(option => option.key === key);
  const text = (key: Key) => given.findLast(option => option.key === key)?.value;
  const number = (key: Key, minimum: number) => {
    const value = text(key);
    return value === undefined ? undefined : wholeNumber(key, value, minimum);
  };
  return {
    allocated: has('allocated'),
    blkhash: has('blkhash') || has('blkhashFile') ? hashForm(text('blkhash')) : undefined,
    blkhashFile: text('blkhashFile'),
    connections: number('connections', 1),
    destinationIsZero: has('destinationIsZero'),
    flush: has('flush'),
    extents: !has('noExtents'),
    progress: has('progress') ? (number('progress', 0) ?? 'bar') : undefined,
    queueSize: bytes('queueSize', text('queueSize')),
    requestSize: requestSizeOf(text('requestSize')),
    requests: number('requests', 1) ?? DEFAULT_REQUESTS,
    resume: text('resume'),
    retries: number('retries', 0) ?? 0,
    sharedMemory: !has('noSharedMemory'),
    sparse: sparseOf(text('sparse')),
    synchronous: has('synchronous'),
    threads: number('threads', 0) || undefined,
    verbose: has('verbose'),
    verify: has('verify'),
  };
}

const optionOf = (key: Key) => `--${OPTIONS[key].names.at(-1)}`;

function wholeNumber(key: Key, text: string, minimum: number): number {
  const value = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= minimum && value <= MANY) return value;
  const right = `expected a whole number, at least ${minimum}`;
  throw new UsageError(`${optionOf(key)}: cannot parse '${text}': ${right}`);
}

function bytes(key: Key, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  try {
    const size = Number(parseSize(text));
    return Math.min(size, Number.MAX_SAFE_INTEGER);
  } catch (error) {
    throw error instanceof UsageError
      ? new UsageError(`${optionOf(key)}: ${error.message}`)
      : error;
  }
}

const isPowerOfTwo = (value: number) => Number.isInteger(Math.log2(value));

function requestSizeOf(text: string | undefined): number | undefined {
  const size = bytes('requestSize', text);
  if (size === undefined) return undefined;
  if (isPowerOfTwo(size) && size >= SMALLEST_REQUEST && size <= LARGEST_REQUEST) return size;
  const right = `expected a power of two from ${SMALLEST_REQUEST} to ${LARGEST_REQUEST}`;
  throw new UsageError(`--request-size: '${text}' cannot be used: ${right}`);
}

function hashForm(text: string | undefined): HashForm {
  const [name = DEFAULT_FORM.digest, size, ...more] = text?.split('/') ?? [];
  const digest = DIGESTS.find(known => known === name);
  const blockSize = bytes('blkhash', size) ?? DEFAULT_FORM.blockSize;
  const fits = blockSize >= SMALLEST_SPARSE && blockSize <= LARGEST_REQUEST;
  if (digest && more.length === 0 && isPowerOfTwo(blockSize) && fits) return { digest, blockSize };
  const sizes = `a power of two from ${SMALLEST_SPARSE} to ${LARGEST_REQUEST}`;
  const right = `expected ${DIGESTS.join(', ')}, perhaps with /SIZE, ${sizes}`;
  throw new UsageError(`--blkhash: '${text}' cannot be used: ${right}`);
}

function sparseOf(text: string | undefined): number | undefined {
  const size = bytes('sparse', text);
  if (size === undefined || size === 0) return size;
  if (isPowerOfTwo(size) && size >= SMALLEST_SPARSE && size <= LARGEST_REQUEST) return size;
  const right = `expected 0 or a power of two from ${SMALLEST_SPARSE} to ${LARGEST_REQUEST}`;
  throw new UsageError(`--sparse: '${text}' cannot be used: ${right}`);
}
