/** Node cannot fork: to go into the background the command starts itself again, detached. */
import { spawn } from 'node:child_process';
import { closeSync, writeSync } from 'node:fs';

/** Tells the second process which descriptor to say "ready" on. */
export const READY_FD = 'NBDPIPE_READY_FD';
const STDIO = 3;

/** Whether this is the second process; if so, the function that says that it serves. */
export function readyReporter(): (() => void) | undefined {
  const fd = Number(process.env[READY_FD]);
  delete process.env[READY_FD];
  if (!Number.isInteger(fd) || fd < STDIO) return undefined;
  return () => {
    writeSync(fd, 'ready');
    closeSync(fd);
  };
}

/**
 * Starts this command again, detached, and waits until it serves or has failed.
 * @returns the exit status.
 */
export function startInBackground(words: readonly string[]): Promise<number> {
  const inherited = descriptorsNamedIn(words);
  const stdio: ('ignore' | 'inherit' | 'pipe' | number)[] = ['inherit', 'inherit', 'inherit'];
  for (let fd = STDIO; fd <= Math.max(STDIO, ...inherited); fd++) {
    stdio[fd] = inherited.includes(fd) ? fd : 'ignore';
  }
  const readyFd = stdio.push('pipe') - 1;
  const child = spawn(process.execPath, [...process.execArgv, ...process.argv.slice(1)], {
    detached: true,
    stdio,
    env: { ...process.env, [READY_FD]: String(readyFd) },
  });
  const stop = () => child.kill('SIGTERM');
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGQUIT'] as const) process.on(signal, stop);
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (status, signal) => resolve(signal === null ? (status ?? 1) : 1));
    child.stdio[readyFd]!.on('data', () => resolve(0));
  });
}

/** Another process in place of this one must get the descriptors that parameters name: fd=N, exit-when-pipe-closed=N, key=-FD. */
export function descriptorsNamedIn(words: readonly string[]): number[] {
  const named = words.map(word => /^(?:[\w-]*(?:fd|-closed)=|[\w-]+=-)(\d{1,4})$/.exec(word)?.[1]);
  return named
    .filter(text => text !== undefined)
    .map(Number)
    .filter(fd => fd >= STDIO);
}
