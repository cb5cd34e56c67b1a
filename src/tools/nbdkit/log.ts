import { closeSync, openSync, writeSync } from 'node:fs';
import { libcFunction } from '../../posix/libc.ts';
import type { LogTarget } from './options.ts';

/** Where the server's messages go. */
export interface Log {
  error(message: string): void;
  debug(message: string): void;
}

const STDERR = 2;
const LOG_PID = 1;
/** LOG_DAEMON with LOG_ERR. */
const DAEMON_ERROR = (3 << 3) | 3;

/** Debugging always goes to standard error, errors go where they were asked for. */
export class ServerLog implements Log {
  readonly #target: LogTarget;
  readonly #verbose: boolean;
  #write: (line: string) => void;

  constructor(target: LogTarget, verbose: boolean) {
    this.#target = target;
    this.#verbose = verbose;
    this.#write = writerFor(target === 'default' ? 'stderr' : target);
  }

  error(message: string): void {
    this.#write(`nbdkit: ${onOneLine(message)}\n`);
  }

  debug(message: string): void {
    if (this.#verbose) toStderr(`nbdkit: debug: ${onOneLine(message)}\n`);
  }

  /** For the background: the standard streams become /dev/null, errors go to the system log. */
  leaveTerminal(): void {
    if (this.#target === 'default') this.#write = toSyslog();
    const keepStderr = this.#verbose || this.#target === 'stderr';
    for (const fd of keepStderr ? [0, 1] : [0, 1, STDERR]) {
      closeSync(fd);
      // The lowest free number is the one just closed.
      openSync('/dev/null', fd === 0 ? 'r' : 'w');
    }
  }
}

const onOneLine = (message: string) => message.trim().replace(/\s*\n\s*/g, ' ');

function writerFor(target: Exclude<LogTarget, 'default'>): (line: string) => void {
  if (target === 'stderr') return toStderr;
  if (target === 'null') return () => {};
  if (target === 'syslog') return toSyslog();
  const fd = openSync(target.file, 'a');
  return line => attempt(fd, line);
}

const toStderr = (line: string) => attempt(STDERR, line);

/** Nothing can be said about a log that cannot be written. */
function attempt(fd: number, line: string): void {
  try {
    writeSync(fd, line);
  } catch {}
}

function toSyslog(): (line: string) => void {
  const openlog = libcFunction('void openlog(const void *name, int options, int facility)');
  const syslog = libcFunction('void syslog(int priority, const char *format, ...)');
  // The C library keeps the pointer.
  const name = Buffer.from('nbdkit\0');
  let opened = false;
  return line => {
    if (!opened) openlog()?.(name, LOG_PID, 0);
    opened = true;
    syslog()?.(DAEMON_ERROR, '%s', 'str', line.replace(/^nbdkit: /, '').trimEnd());
  };
}
