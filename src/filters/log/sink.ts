import { spawn } from 'node:child_process';
import { closeSync, openSync, writeSync } from 'node:fs';
import { isPromise } from '../../block/answer.ts';
import { errnoOf, messageOf, UsageError } from '../../block/errors.ts';
import { findProgram } from '../../posix/program.ts';

/** What a line is about. `connection` only for what a client does. */
export interface Subject {
  readonly act: string;
  readonly connection?: number;
  readonly id?: number;
}

/** Further fields, as they stand in the line. */
export type Fields = Readonly<Record<string, string | number>>;

interface LogOptions {
  readonly file: string | undefined;
  readonly append: boolean;
  readonly script: string | undefined;
  warn(message: string): void;
}

/** Linux takes 128 KiB a variable; long lists of extents are cut. */
const LONGEST_VARIABLE = 120_000;

/** Knows arrays, which lists are then. */
const bash = findProgram('bash');

/** Where lines go: a file, a script or both. With a script, a call waits for its turn and its end. */
export class Log {
  readonly #fd: number | undefined;
  readonly #script: string | undefined;
  readonly #warn: (message: string) => void;
  #lastScript: Promise<void> = Promise.resolve();

  /** @throws UsageError when the file cannot be opened. */
  constructor({ file, append, script, warn }: LogOptions) {
    this.#script = script;
    this.#warn = warn;
    if (file === undefined) return;
    try {
      this.#fd = openSync(file, append ? 'a' : 'w');
    } catch (error) {
      throw new UsageError(`logfile: ${messageOf(error)}`);
    }
  }

  /** A line that stands alone. */
  print(subject: Subject, fields: Fields): void | Promise<void> {
    return this.#emit('PRINT', subject, fields);
  }

  /** A line before the call and one after it, which tells how it ended. */
  around<T>(
    subject: Subject,
    fields: Fields,
    call: () => T | PromiseLike<T>,
    results: (value: T) => Fields = () => ({}),
  ): T | PromiseLike<T> {
    const entered = this.#emit('ENTER', subject, fields);
    if (entered) return entered.then(() => this.#finish(subject, call, results));
    return this.#finish(subject, call, results);
  }

  async close(): Promise<void> {
    await this.#lastScript;
    if (this.#fd !== undefined) closeSync(this.#fd);
  }

  #finish<T>(
    subject: Subject,
    call: () => T | PromiseLike<T>,
    results: (value: T) => Fields,
  ): T | PromiseLike<T> {
    const succeeded = (value: T): T | Promise<T> => {
      const left = this.#emit('LEAVE', subject, { ...results(value), return: 0 });
      return left ? left.then(() => value) : value;
    };
    const failed = (error: unknown): Promise<never> => {
      const left = this.#emit('LEAVE', subject, { return: -1, error: errnoOf(error) });
      return Promise.resolve(left).then(() => Promise.reject(error));
    };
    let answer: T | PromiseLike<T>;
    try {
      answer = call();
    } catch (error) {
      return failed(error);
    }
    return isPromise(answer) ? answer.then(succeeded, failed) : succeeded(answer);
  }

  #emit(type: Type, subject: Subject, fields: Fields): void | Promise<void> {
    if (this.#fd !== undefined) this.#writeLine(this.#fd, formatLine(type, subject, fields));
    if (this.#script === undefined) return undefined;
    const run = this.#lastScript.then(() => this.#runScript(type, subject, fields));
    this.#lastScript = run;
    return run;
  }

  #writeLine(fd: number, line: string): void {
    try {
      writeSync(fd, line);
    } catch (error) {
      this.#warn(`logfile: ${messageOf(error)}`);
    }
  }

  /** Its exit status means nothing; what it prints goes to standard error. */
  #runScript(type: Type, subject: Subject, fields: Fields): Promise<void> {
    const env = { ...process.env };
    let arrays = '';
    for (const [name, value] of Object.entries({ ...subject, type, ...fields })) {
      const text = String(value);
      if (text.startsWith('(') && bash !== undefined) arrays += `${name}=${text}\n`;
      else env[name] = unquote(text).slice(0, LONGEST_VARIABLE);
    }
    return new Promise(resolve => {
      const failed = (error: unknown) => {
        this.#warn(`logscript: ${messageOf(error)}`);
        resolve();
      };
      try {
        const child = spawn(bash ?? '/bin/sh', ['-c', arrays + this.#script!], {
          env,
          stdio: ['ignore', 2, 2],
        });
        child.once('error', failed);
        child.once('exit', () => resolve());
      } catch (error) {
        failed(error);
      }
    });
  }
}

type Type = 'ENTER' | 'LEAVE' | 'PRINT';

function formatLine(type: Type, { act, connection, id }: Subject, fields: Fields): string {
  const words = [timestamp()];
  if (connection !== undefined) words.push(`connection=${connection}`);
  words.push(type === 'LEAVE' ? `...${act}` : act);
  if (id !== undefined) words.push(`id=${id}`);
  for (const [name, value] of Object.entries(fields)) words.push(`${name}=${value}`);
  if (type === 'ENTER') words.push('...');
  return `${words.join(' ')}\n`;
}

/** Local time, YYYY-MM-DD HH:MM:SS.microseconds. */
function timestamp(): string {
  const now = performance.timeOrigin + performance.now();
  const date = new Date(now);
  const local = new Date(now - date.getTimezoneOffset() * 60_000).toISOString();
  const micros = Math.floor((now % 1) * 1000);
  return `${local.slice(0, 10)} ${local.slice(11, 23)}${String(micros).padStart(3, '0')}`;
}

/** Variables carry a quoted word as it was; lists stay in their brackets. */
function unquote(value: string): string {
  return value.startsWith('"') ? value.slice(1, -1).replace(/\\(["$\\`])/g, '$1') : value;
}
