import { closeSync, openSync, writeSync } from 'node:fs';
import { BlockError, messageOf, UsageError } from '../../block/errors.ts';
import { libcFunction } from '../../posix/libc.ts';
import { harmless } from '../../protocol/text.ts';
import type { LogTarget } from './options.ts';

/** Where the server's messages go. `who` is a part of it, or `PART[N]` for its Nth connection. */
export interface Log {
  error(message: string, who?: string): void;
  /** What the user should know though the service goes on. */
  warn(message: string): void;
  debug(message: string, who?: string): void;
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

  error(message: string, who?: string): void {
    this.#write(`${lead(who)}error: ${onOneLine(message)}\n`);
  }

  warn(message: string): void {
    this.#write(`${lead(undefined)}warning: ${onOneLine(message)}\n`);
  }

  debug(message: string, who?: string): void {
    if (this.#verbose) toStderr(`${lead(who)}debug: ${onOneLine(message)}\n`);
  }

  /** Something thrown: its words, and as details where it was thrown. */
  failure(error: unknown, who?: string): void {
    this.error(messageOf(error), who);
    for (const line of stackOf(error)) this.debug(line, who);
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

/** Where an error was thrown, unless it was on purpose. */
export function stackOf(error: unknown): string[] {
  if (!(error instanceof Error)) return [];
  if (error instanceof BlockError || error instanceof UsageError) return [];
  return error.stack?.split('\n').map(line => line.trim()) ?? [];
}

const lead = (who: string | undefined) => (who === undefined ? 'nbdkit: ' : `nbdkit: ${who}: `);

const onOneLine = (message: string) => harmless(message.trimEnd().replace(/\s*\n\s*/g, ' '));

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
    syslog()?.(
      DAEMON_ERROR,
      '%s',
      'str',
      line.replace(/^nbdkit: (.*?: )??error: /, '$1').trimEnd(),
    );
  };
}
