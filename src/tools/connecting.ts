/** How many connections, and how often they are made again: for commands that stay connected. */
import { messageOf, UsageError } from '../block/errors.ts';
import type { Disk } from '../handle/disk.ts';
import type { OpenOptions } from '../handle/open.ts';
import type { CommandLine, Options } from './cli.ts';
import type { Origin } from './origins.ts';

export const CONNECTING_OPTIONS = {
  connections: { names: ['C', 'connections'], value: 'required' },
  noSharedMemory: { names: ['no-shared-memory'] },
  retries: { names: ['retries'], value: 'required' },
} as const satisfies Options;

export type Connecting = Pick<OpenOptions, 'connections' | 'reconnect' | 'sharedMemory'>;

const MOST_CONNECTIONS = 1024;
const MANY = 2 ** 31 - 1;

/** What of these was given. @throws UsageError */
export function connectingOf(given: CommandLine<string>['given']): Connecting {
  const number = (key: 'connections' | 'retries', least: number, most: number) => {
    const value = given.findLast(option => option.key === key)?.value;
    return value === undefined ? undefined : wholeNumber(`--${key}`, value, least, most);
  };
  const retries = number('retries', 0, MANY) ?? 0;
  return {
    connections: number('connections', 1, MOST_CONNECTIONS),
    reconnect: retries > 0 && { retries },
    sharedMemory: !given.some(option => option.key === 'noSharedMemory'),
  };
}

/** @throws UsageError naming the option. */
export function wholeNumber(option: string, text: string, least: number, most: number): number {
  const value = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= least && value <= most) return value;
  const right = `expected a whole number from ${least} to ${most}`;
  throw new UsageError(`${option}: cannot parse '${text}': ${right}`);
}

/** Opens a disk. @throws as `open`, with the name of the origin; the signal's reason. */
export async function openFrom(origin: Origin, options: OpenOptions): Promise<Disk> {
  try {
    return await origin.open(options);
  } catch (error) {
    options.signal?.throwIfAborted();
    if (error instanceof Error && !error.message.includes(origin.name)) {
      error.message = `${origin.name}: ${messageOf(error)}`;
    }
    throw error;
  }
}
