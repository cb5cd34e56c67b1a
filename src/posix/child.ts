/** Programs that are given bytes and give bytes, whatever else they do. */
import { spawn } from 'node:child_process';
import { closeSync } from 'node:fs';
import { Socket } from 'node:net';
import type { Readable, Writable } from 'node:stream';
import { BlockError } from '../block/errors.ts';
import { SystemError } from './libc.ts';
import { fillPipe, makePipe } from './pipe.ts';
import { type Exit, type Spawned, spawnProcess } from './spawn.ts';
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
  try {
    const child = start(program, words, options.variables, options.input);
    return await finish(child, options);
  } catch (error) {
    if (error instanceof BlockError && !(error instanceof SystemError)) throw error;
    throw new BlockError('EIO', `${options.name}: ${startFailure(error as NodeJS.ErrnoException)}`);
  }
}

async function finish(child: Started, { name, limit, signal }: ChildOptions): Promise<ChildEnd> {
  const { pid, exited, fed, stdin, stdout, stderr } = child;
  const end = () => endGroup(pid);
  const forget = atExit(end);
  let patience: NodeJS.Timeout | undefined;
  const givenUp = () => {
    patience = setTimeout(end, PATIENCE);
  };
  signal?.addEventListener('abort', givenUp);
  if (signal?.aborted) givenUp();
  const output = collect(stdout, limit, end);
  const errors = collect(stderr, MOST_ERRORS);
  try {
    const exit = await exited;
    await atMost(AFTERMATH, Promise.all([output.end, errors.end]));
    if (output.length > limit) {
      throw new BlockError('EIO', `${name}: wrote more than the ${limit} bytes that were expected`);
    }
    if (exit.signal !== null) throw new BlockError('EIO', `${name}: was ended by ${exit.signal}`);
    const text = Buffer.concat(errors.chunks).toString().slice(0, MOST_ERRORS);
    return { status: exit.status!, output: output.chunks, errors: text, deaf: !fed.all };
  } finally {
    signal?.removeEventListener('abort', givenUp);
    clearTimeout(patience);
    forget();
    for (const stream of [stdin, stdout, stderr]) stream?.destroy();
  }
}

/** A child, and this process's ends of its standard streams. */
interface Started extends Spawned {
  readonly stdin: Writable | undefined;
  readonly stdout: Readable;
  readonly stderr: Readable;
  readonly fed: { readonly all: boolean };
}

/**
 * Starts a child. Scripts open /dev/stdin and /dev/stdout, which works with pipes only. Input that the
 * pipe takes is there before the child is, which may end without reading.
 */
function start(
  program: string,
  words: readonly string[],
  env: NodeJS.ProcessEnv,
  input: Uint8Array | undefined,
): Started {
  const output = makePipe();
  if (!output) return startByNode(program, words, env, input);
  const ours = [output.read];
  const theirs = [output.write];
  try {
    const errors = makePipe()!;
    ours.push(errors.read);
    theirs.push(errors.write);
    const into = input && makePipe()!;
    if (into) ours.push(into.write);
    if (into) theirs.push(into.read);
    const rest = into && input.subarray(fillPipe(into, input));
    const standard = { input: into?.read, output: output.write, errors: errors.write };
    const spawned = spawnProcess(program, words, env, standard);
    const stdin = into && ourEnd(into.write, 'writable');
    const [stdout, stderr] = [ourEnd(output.read, 'readable'), ourEnd(errors.read, 'readable')];
    return { ...spawned, stdin, stdout, stderr, fed: feed(stdin, rest) };
  } catch (error) {
    for (const end of ours) closeSync(end);
    throw error;
  } finally {
    for (const end of theirs) closeSync(end);
  }
}

const ourEnd = (fd: number, way: 'readable' | 'writable') =>
  new Socket({ fd, readable: way === 'readable', writable: way === 'writable' });

/** Where there are no pipes of our own: Node's channels are sockets. */
function startByNode(
  program: string,
  words: readonly string[],
  env: NodeJS.ProcessEnv,
  input: Uint8Array | undefined,
): Started {
  const stdio = [input ? 'pipe' : 'ignore', 'pipe', 'pipe'] as const;
  const child = spawn(program, words, { stdio: [...stdio], env, detached: true });
  const exited = new Promise<Exit>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (status, signal) => resolve({ status, signal }));
  });
  const [stdin, stdout, stderr] = [child.stdin ?? undefined, child.stdout!, child.stderr!];
  return { pid: child.pid ?? 0, exited, stdin, stdout, stderr, fed: feed(stdin, input) };
}

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
    if (pid) process.kill(-pid, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}
