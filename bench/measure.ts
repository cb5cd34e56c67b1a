import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import net from 'node:net';
import { delimiter, join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

/** Our commands, or those that are compared with them. */
export type Side = 'ours' | 'peer';

const DIST = resolve(import.meta.dirname, '../dist');

/** The words that run a command of one side. */
export function command(side: Side, name: string): string[] {
  return side === 'ours' ? [process.execPath, join(DIST, `${name}.cjs`)] : [name];
}

/** Whether a program is installed. */
export function hasProgram(name: string): boolean {
  return (process.env.PATH ?? '').split(delimiter).some(folder => existsSync(join(folder, name)));
}

/** Runs a command to its end. @returns seconds. @throws Error with what it printed if it fails. */
export async function seconds(words: readonly string[]): Promise<number> {
  const begin = performance.now();
  await run(words);
  return (performance.now() - begin) / 1000;
}

/** Runs a command to its end. @returns what it printed. @throws Error if it fails. */
export async function run(words: readonly string[]): Promise<string> {
  const child = spawn(words[0]!, words.slice(1), { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  let errors = '';
  child.stdout.on('data', bytes => {
    output += bytes;
  });
  child.stderr.on('data', bytes => {
    errors += bytes;
  });
  const [status] = await once(child, 'close');
  if (status !== 0) throw new Error(`${words.join(' ')}: status ${status}: ${errors}`);
  return output;
}

/** A server of one side on a Unix socket of its own. */
export class Served {
  readonly uri: string;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, uri: string) {
    this.#child = child;
    this.uri = uri;
  }

  static start(side: Side, folder: string, words: readonly string[]): Promise<Served> {
    return Served.by(folder, path => [...command(side, 'nbdkit'), '-f', '-U', path, ...words]);
  }

  /** @param words of a server that listens at a path. */
  static async by(folder: string, words: (path: string) => readonly string[]): Promise<Served> {
    const path = join(folder, `socket-${Math.random().toString(36).slice(2)}`);
    const [program, ...rest] = words(path);
    // What filters keep belongs where the benchmark's own files are.
    const env = { ...process.env, TMPDIR: folder };
    const child = spawn(program!, rest, { env, stdio: ['ignore', 'ignore', 'inherit'] });
    await listening(path, child);
    return new Served(child, `nbd+unix:///?socket=${path}`);
  }

  /** The most memory that the server has held, in bytes. */
  peakMemory(): number {
    const status = readFileSync(`/proc/${this.#child.pid}/status`, 'utf8');
    return Number(/VmHWM:\s*(\d+) kB/.exec(status)![1]) * 1024;
  }

  async stop(): Promise<void> {
    this.#child.kill('SIGTERM');
    if (this.#child.exitCode === null) await once(this.#child, 'exit');
  }
}

async function listening(path: string, child: ChildProcess): Promise<void> {
  for (;;) {
    if (child.exitCode !== null) throw new Error(`the server ended with ${child.exitCode}`);
    const socket = net.connect(path);
    // The greeting is awaited, and left in order, as hanging up would be an error to report.
    const greeted = await once(socket, 'data').then(
      () => true,
      () => false,
    );
    if (greeted) return leave(socket);
    socket.destroy();
    await delay(20);
  }
}

/** Says goodbye to a server that has greeted: flags, then NBD_OPT_ABORT. */
async function leave(socket: net.Socket): Promise<void> {
  const abort = Buffer.alloc(20);
  abort.writeUInt32BE(1, 0);
  abort.write('IHAVEOPT', 4, 'latin1');
  abort.writeUInt32BE(2, 12);
  socket.end(abort);
  socket.resume();
  await once(socket, 'close');
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
