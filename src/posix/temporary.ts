import { randomBytes } from 'node:crypto';
import { mkdtempSync, openSync, rmSync, unlinkSync } from 'node:fs';
import { join, resolve } from 'node:path';

/** What is still to be undone when the process ends. */
const pending = new Set<() => void>();

/**
 * Has something done when the process ends, the latest first.
 * @returns what takes that back.
 */
export function atExit(action: () => void): () => void {
  if (pending.size === 0) process.on('exit', undoAtExit);
  pending.add(action);
  return () => {
    pending.delete(action);
    if (pending.size === 0) process.off('exit', undoAtExit);
  };
}

/** Does it now: for a process that a signal is going to end. */
export function undoAtExit(): void {
  for (const action of [...pending].reverse()) action();
}

/** Servers change to the root directory. */
const startedIn = process.cwd();

/** Where temporary disks belong, absolute: they may be too large for /tmp. */
export function temporaryFolder(): string {
  return resolve(startedIn, process.env.TMPDIR || '/var/tmp');
}

/**
 * A new empty file that has no name any more: it is gone when its last descriptor is.
 * @throws the system's error.
 */
export function namelessFile(): number {
  const path = join(temporaryFolder(), `nbdpipe-${randomBytes(9).toString('base64url')}`);
  const fd = openSync(path, 'wx+', 0o600);
  unlinkSync(path);
  return fd;
}

/**
 * Makes a folder that only this user may enter. It is removed, with all that is in it, when the process
 * ends if not before. @throws the system's error.
 */
export function privateFolder(prefix: string): { readonly path: string; remove(): void } {
  const path = mkdtempSync(prefix);
  const erase = () => rmSync(path, { recursive: true, force: true });
  const forget = atExit(erase);
  return {
    path,
    remove: () => {
      forget();
      erase();
    },
  };
}

/**
 * Makes such a folder and removes it after `use`.
 * @throws the system's error, or that of `use`.
 */
export async function withPrivateFolder<T>(
  prefix: string,
  use: (folder: string) => Promise<T>,
): Promise<T> {
  const folder = privateFolder(prefix);
  try {
    return await use(folder.path);
  } finally {
    folder.remove();
  }
}
