import { libcFunction } from '../../posix/libc.ts';

const PR_SET_PDEATHSIG = 1;
const SIGTERM = 15;
const LOOK_EVERY_MS = 500;

const prctl = libcFunction('int prctl(int option, ulong a, ulong b, ulong c, ulong d)');

/** Ends this process, as SIGTERM does, when the one that started it has ended. */
export function exitWithParent(): void {
  const parent = process.ppid;
  if (prctl()?.(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0) === 0) {
    // It may have ended just before.
    if (process.ppid !== parent) process.kill(process.pid, 'SIGTERM');
    return;
  }
  const timer = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(timer);
    process.kill(process.pid, 'SIGTERM');
  }, LOOK_EVERY_MS);
}
