/** Programs that are given bytes and give bytes, whatever else they do. */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync } from 'node:fs';
import { Socket } from 'node:net';
import type { Readable, Writable } from 'node:stream';
import { BlockError } from '../block/errors.ts';
import { fillPipe, makePipe } from './pipe.ts';
import { atExit } from './temporary.ts';

/** What is kept of standard error: the beginning. */
const MOST_ERRORS = 1 << 16;
/** How long a child may go on when nobody waits for it any more, in ms. */
const PATIENCE = 2000;
/** How long those that a child has left behind may go on writing what is its output, in ms. */
const AFTERMATH = 1000;

export interface ChildOptions {
  /** What errors call it. */
  readonly name: string;
  /** Its whole environment. */
  readonly variables: NodeJS.ProcessEnv;
  /** For its standard input, which is empty otherwise. */
  readonly input?: Uint8Array | undefined;
  /** Most bytes of standard output. */
  readonly limit: number;
  /** Nobody waits any more: it gets two seconds to end by itself. */
  readonly signal?: AbortSignal | undefined;
}

/** How a child ended. */
export interface ChildEnd {
  readonly status: number;
  readonly output: readonly Buffer[];
  /** What it wrote to standard error, 64 KiB at most. */
  readonly errors: string;
  /** It did not read all of its input. */
  readonly deaf: boolean;
}

/**
 * Runs a program to its end. It is ended, with those it has started, when it writes too much, when it
 * goes on although nobody waits, and with this process.
 * @throws BlockError EIO when it cannot be run, is ended by a signal or writes more than the limit.
 */
export async function runChild(
  program: string,
  words: readonly string[],
  options: ChildOptions,
): Promise<ChildEnd> {
  const { name, variables, input, limit, signal } = options;
  const { child, fed, stdin, stdout, stderr } = start(program, words, variables, input);
  const end = () => endGroup(child.pid);
  const forget = atExit(end);
  const givenUp = () => void setTimeout(end, PATIENCE).unref();
  signal?.addEventListener('abort', givenUp);
  const output = collect(stdout, limit, end);
  const errors = collect(stderr, MOST_ERRORS);
  try {
    const { status, endedBy } = await exitOf(child, name);
    await atMost(AFTERMATH, Promise.all([output.end, errors.end]));
    if (output.length > limit) {
      throw new BlockError('EIO', `${name}: wrote more than the ${limit} bytes that were expected`);
    }
    if (endedBy !== null) throw new BlockError('EIO', `${name}: was ended by ${endedBy}`);
    const text = Buffer.concat(errors.chunks).toString().slice(0, MOST_ERRORS);
    return { status: status!, output: output.chunks, errors: text, deaf: !fed.all };
  } finally {
    signal?.removeEventListener('abort', givenUp);
    forget();
    for (const stream of [stdin, stdout, stderr]) stream?.destroy();
  }
}

/**
 * Starts a child. Scripts open /dev/stdin and /dev/stdout, which works with pipes only, while Node
 * has sockets. Input that the pipe takes is there before the child is, which may end without reading.
 */
function start(
  program: string,
  words: readonly string[],
  env: NodeJS.ProcessEnv,
  input: Uint8Array | undefined,
) {
  const [into, output, errors] = [input && makePipe(), makePipe(), makePipe()];
  const rest = input?.subarray(into ? fillPipe(into, input) : 0);
  const theirs = [
    into?.read ?? (input ? 'pipe' : 'ignore'),
    output?.write ?? 'pipe',
    errors?.write ?? 'pipe',
  ] as const;
  try {
    const child = spawn(program, words, { stdio: [...theirs], env, detached: true });
    const stdin = into ? ourEnd(into.write, 'writable') : (child.stdin ?? undefined);
    return {
      child,
      stdin,
      fed: feed(stdin, rest),
      stdout: output ? ourEnd(output.read, 'readable') : child.stdout!,
      stderr: errors ? ourEnd(errors.read, 'readable') : child.stderr!,
    };
  } finally {
    for (const end of theirs) if (typeof end === 'number') closeSync(end);
  }
}

const ourEnd = (fd: number, way: 'readable' | 'writable') =>
  new Socket({ fd, readable: way === 'readable', writable: way === 'writable' });

/** Gives a child its input, then closes it. */
function feed(stdin: Writable | undefined, input: Uint8Array | undefined) {
  const fed = { all: !input?.length };
  stdin?.on('error', () => {});
  if (fed.all) stdin?.destroy();
  else {
    stdin?.write(input!, error => {
      fed.all = !error;
      stdin.destroy();
    });
  }
  return fed;
}

function exitOf(child: ChildProcess, name: string) {
  return new Promise<{ status: number | null; endedBy: string | null }>((resolve, reject) => {
    child.once('error', error => reject(new BlockError('EIO', `${name}: ${startFailure(error)}`)));
    child.once('exit', (status, endedBy) => resolve({ status, endedBy }));
  });
}

function startFailure({ code }: NodeJS.ErrnoException): string {
  if (code === 'ENOENT') return 'cannot be run: it, or the program in its first line, is not there';
  if (code === 'EACCES') return 'cannot be run: it is not executable: chmod +x may help';
  return `cannot be run: ${code}`;
}

/** Keeps what comes from a stream until it is too much. */
function collect(stream: Readable, limit: number, tooMuch?: () => void) {
  const chunks: Buffer[] = [];
  const collected = {
    chunks,
    /** Of all that came. */
    length: 0,
    end: new Promise<void>(resolve => void stream.once('close', resolve)),
  };
  stream.on('error', () => {});
  stream.on('data', (chunk: Buffer) => {
    if (collected.length <= limit) chunks.push(chunk);
    collected.length += chunk.length;
    if (collected.length > limit) tooMuch?.();
  });
  return collected;
}

async function atMost(ms: number, wait: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>(resolve => {
    timer = setTimeout(resolve, ms);
  });
  await Promise.race([wait, late]);
  clearTimeout(timer);
}

/** Ends a process and those that it has started. */
export function endGroup(pid: number | undefined): void {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}
