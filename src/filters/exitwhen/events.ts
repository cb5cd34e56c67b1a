import { accessSync, constants, openSync, readSync } from 'node:fs';
import { messageOf, UsageError } from '../../block/errors.ts';
import { hungUp } from '../../posix/hung-up.ts';
import { runShell } from '../../posix/shell.ts';

/** Something after which the server shall end: why, if it has happened. */
export type Event = () => string | undefined | Promise<string | undefined>;

export function fileCreated(path: string): Event {
  return () => (fileError(path) ? undefined : `exit-when-file-created: detected ${path} created`);
}

export function fileDeleted(path: string): Event {
  return () => {
    const error = fileError(path);
    if (error?.code === 'ENOENT' || error?.code === 'ENOTDIR') {
      return `exit-when-file-deleted: detected ${path} deleted`;
    }
    if (error) throw error;
    return undefined;
  };
}

function fileError(path: string): NodeJS.ErrnoException | undefined {
  try {
    accessSync(path, constants.R_OK);
    return undefined;
  } catch (error) {
    return error as NodeJS.ErrnoException;
  }
}

/** @throws UsageError when there is no such descriptor. */
export function pipeClosed(fd: number): Event {
  const look = () => {
    const is = hungUp(fd);
    if (is !== 'invalid') return is;
    throw new UsageError(`exit-when-pipe-closed: invalid file descriptor ${fd}`);
  };
  look();
  return () => (look() ? 'exit-when-pipe-closed: detected pipe closed' : undefined);
}

/** @throws UsageError when there is no such process. */
export function processExits(pid: number): Event {
  const gone = process.platform === 'linux' ? goneByItsFile(pid) : goneByItsNumber(pid);
  if (gone()) throw new UsageError(`exit-when-process-exits: there is no process ${pid}`);
  return () => (gone() ? 'exit-when-process-exits: detected process exit' : undefined);
}

/** A file of the process, which stays that of this one, whoever gets its number next. */
function goneByItsFile(pid: number): () => boolean {
  const byte = Buffer.alloc(1);
  let fd: number;
  try {
    fd = openSync(`/proc/${pid}/stat`, 'r');
  } catch (error) {
    throw new UsageError(`exit-when-process-exits: ${messageOf(error)}`);
  }
  return () => {
    try {
      readSync(fd, byte, 0, 1, 0);
      return false;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ESRCH') return true;
      throw error;
    }
  };
}

function goneByItsNumber(pid: number): () => boolean {
  return () => {
    try {
      process.kill(pid, 0);
      return false;
    } catch (error) {
      return (error as NodeJS.ErrnoException).code === 'ESRCH';
    }
  };
}

const HAPPENED = 88;

export function scriptSays(script: string): Event {
  return async () => {
    const { status } = await runShell(script);
    if (status === HAPPENED) return 'exit-when-script: detected scripted event';
    if (status === 0) return undefined;
    throw new Error(`exit-when-script: ended with ${status ?? 'a signal'}: expected 0 or 88`);
  };
}
