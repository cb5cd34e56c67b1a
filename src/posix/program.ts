import { spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { basename, delimiter, join } from 'node:path';
import { BlockError } from '../block/errors.ts';
import { endGroup } from './child.ts';
import { atExit } from './temporary.ts';

const MAX_COMPLAINT = 4096;
/** Where mkfs and its kind are, although the PATH of many users leaves these out. */
const SYSTEM_FOLDERS = ['/usr/sbin', '/sbin'];

function searchPath(): string {
  return [process.env.PATH ?? '/usr/bin:/bin', ...SYSTEM_FOLDERS].join(delimiter);
}

/** Where a program of the system is; undefined when it is not installed. */
export function findProgram(name: string): string | undefined {
  const paths = searchPath()
    .split(delimiter)
    .map(folder => join(folder, name));
  return paths.find(path => {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

export interface ProgramOptions {
  /** What errors call it. */
  readonly name?: string;
  /** Variables beside those of this process. */
  readonly variables?: Readonly<Record<string, string>>;
  /** A descriptor for its standard output, which is dropped otherwise. */
  readonly output?: number;
  /** A descriptor that it finds as /dev/fd/3. */
  readonly file?: number;
  /** Where its complaint says why it failed, which end of it is kept; the last line unless said. */
  readonly reason?: 'first' | 'last';
}

/**
 * Runs a program of the system to its end, with what it starts; both are ended with this process.
 * @returns what it wrote to standard error, at most 4096 characters.
 * @throws BlockError EIO naming the program, how it ended and a line of its complaint.
 */
export async function runProgram(
  program: string,
  words: readonly string[],
  { name = basename(program), variables, output, file, reason = 'last' }: ProgramOptions = {},
): Promise<string> {
  const child = spawn(program, words, {
    stdio: ['ignore', output ?? 'ignore', 'pipe', ...(file === undefined ? [] : [file])],
    env: { ...process.env, PATH: searchPath(), ...variables },
    detached: true,
  });
  const forget = atExit(() => endGroup(child.pid));
  let complaint = '';
  child.stderr!.setEncoding('utf8').on('data', (text: string) => {
    const whole = complaint + text;
    complaint = reason === 'first' ? whole.slice(0, MAX_COMPLAINT) : whole.slice(-MAX_COMPLAINT);
  });
  try {
    const failure = await new Promise<string | undefined>(resolve => {
      child.once('error', error => resolve(startFailure(error)));
      child.once('close', (status, signal) => resolve(endFailure(status, signal)));
    });
    if (failure === undefined) return complaint.trim();
    const line = complaint
      .trim()
      .split('\n')
      .at(reason === 'first' ? 0 : -1)!;
    const why = line.trim().replace(`${name}: `, '');
    throw new BlockError('EIO', `${name}: ${failure}${why && `: ${why}`}`);
  } finally {
    forget();
  }
}

function startFailure(error: NodeJS.ErrnoException): string {
  return error.code === 'ENOENT' ? 'not found: it must be installed' : `cannot run: ${error.code}`;
}

function endFailure(status: number | null, signal: string | null): string | undefined {
  if (signal !== null) return `was ended by ${signal}`;
  return status === 0 ? undefined : `failed with status ${status}`;
}
