import { readFileSync } from 'node:fs';
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
  if (isOrphan(parent)) {
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

/**
 * Whether the parent was gone before anybody looked. Orphans get a new one, init or another: it has
 * another session, while whoever starts a process shares its own with it. In a container where all
 * is one session, process 1 may be either, and counts as the one that started this.
 */
function isOrphan(parent: number): boolean {
  const own = sessionOf('self');
  const other = sessionOf(parent);
  if (own === undefined || other === undefined) return parent === INIT;
  return own !== other && own !== process.pid;
}

/** Linux: the number of a process's session; undefined where it cannot be known. */
function sessionOf(process: number | 'self'): number | undefined {
  try {
    const fields = readFileSync(`/proc/${process}/stat`, 'latin1')
      .replace(/^.*\) /s, '')
      .split(' ');
    return Number(fields[3]);
  } catch {
    return undefined;
  }
}
