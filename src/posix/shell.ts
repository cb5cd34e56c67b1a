import { spawn } from 'node:child_process';
import { BlockError, messageOf } from '../block/errors.ts';

/** Most that is kept of what a script prints, in bytes. */
const LONGEST = 4096;

export interface ShellOptions {
  /** Variables beside those of this process. */
  readonly variables?: Readonly<Record<string, string>>;
  /** Ends the script. */
  readonly signal?: AbortSignal;
}

/** How a script ended: its status, null when a signal did it, and what it printed. */
export interface ShellResult {
  readonly status: number | null;
  /** At most 4096 bytes, without the last newline. */
  readonly output: string;
}

/**
 * Runs a script in /bin/sh; what it complains of goes to standard error.
 * @throws BlockError EIO when the shell cannot be started.
 */
export function runShell(
  script: string,
  { variables, signal }: ShellOptions = {},
): Promise<ShellResult> {
  return new Promise((resolve, reject) => {
    const fail = (error: unknown) => reject(new BlockError('EIO', `/bin/sh: ${messageOf(error)}`));
    try {
      const child = spawn('/bin/sh', ['-c', script], {
        env: { ...process.env, ...variables },
        stdio: ['ignore', 'pipe', 2],
        signal,
      });
      let output = Buffer.alloc(0);
      child.stdout!.on('data', (bytes: Buffer) => {
        output = Buffer.concat([output, bytes.subarray(0, LONGEST - output.length)]);
      });
      child.once('error', fail);
      child.once('close', status => {
        resolve({ status, output: output.toString('utf8').replace(/\n$/, '') });
      });
    } catch (error) {
      fail(error);
    }
  });
}

/** A word that the shell takes as it is. */
export function shellWord(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
