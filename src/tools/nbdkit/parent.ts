import { libcFunction } from '../../posix/libc.ts';

const PR_SET_PDEATHSIG = 1;
const SIGTERM = 15;
const INIT = 1;
const LOOK_EVERY_MS = 500;

const prctl = libcFunction('int prctl(int option, ulong a, ulong b, ulong c, ulong d)');

const end = () => void process.kill(process.pid, 'SIGTERM');

/** Ends this process, as SIGTERM does, when the one that started it has ended. */
export function exitWithParent(): void {
  const parent = process.ppid;
  // Orphans belong to init: the parent was gone before anybody looked.
  if (parent === INIT) {
    end();
    return;
  }
  if (prctl()?.(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0) === 0) {
    // It may have ended just before.
    if (process.ppid !== parent) end();
    return;
  }
  const timer = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(timer);
    end();
  }, LOOK_EVERY_MS);
}
