import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { delimiter, join, resolve } from 'node:path';
import process from 'node:process';
import type { TestContext } from 'node:test';
import { temporaryFolder } from '../peer/wire.ts';

const PLACES = ['/usr/bin', '/usr/sbin', '/bin', '/sbin'];
const SYSTEM_PATH = [...PLACES, process.env.PATH ?? ''].join(delimiter);
const DIST = resolve(import.meta.dirname, '../../dist');

/** A program that takes so long hangs, and is ended. */
const HANG_MS = 60_000;

/** Whether the programs are there; if not, the test is skipped and says which it needs. */
export function has(t: TestContext, ...programs: readonly string[]): boolean {
  const missing = programs.filter(
    program => !SYSTEM_PATH.split(delimiter).some(place => existsSync(join(place, program))),
  );
  if (missing.length > 0) t.skip(`needs ${missing.join(' and ')}`);
  return missing.length === 0;
}

/** Whether python3 is there with libnbd's module, which nbdsh needs. */
export function hasNbdsh(t: TestContext): boolean {
  if (!has(t, 'nbdsh', 'python3')) return false;
  const { status } = spawnSync('/usr/bin/python3', ['-c', 'import nbd']);
  if (status !== 0) t.skip('needs python3-libnbd');
  return status === 0;
}

export interface Outcome {
  readonly status: number | null;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string | Uint8Array;
  readonly cwd?: string;
  /** What takes so long hangs, in ms. */
  readonly timeout?: number;
}

/** Runs a program of the system to its end. */
export function run(
  command: string,
  args: readonly string[],
  { env, input = '', cwd, timeout = HANG_MS }: RunOptions = {},
): Promise<Outcome> {
  return new Promise((done, fail) => {
    const child = spawn(command, args, {
      env: { ...process.env, PATH: SYSTEM_PATH, NODE_OPTIONS: '', LC_ALL: 'C', ...env },
      cwd,
      timeout,
      killSignal: 'SIGKILL',
    });
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    child.stdout.on('data', (bytes: Buffer) => out.push(bytes));
    child.stderr.on('data', (bytes: Buffer) => err.push(bytes));
    // A program that does not read its input may be gone before it is written.
    child.stdin.on('error', () => {});
    child.stdin.end(input);
    child.on('error', fail);
    child.on('close', (status, signal) => {
      const text = (chunks: Buffer[]) => Buffer.concat(chunks).toString('latin1');
      done({ status, signal, stdout: text(out), stderr: text(err) });
    });
  });
}

/** As `run`, and fails unless it ends well; gives what it printed. */
export async function runWell(
  command: string,
  args: readonly string[],
  options?: RunOptions,
): Promise<string> {
  const outcome = await run(command, args, options);
  if (outcome.status !== 0) {
    const { status, signal, stderr, stdout } = outcome;
    const words = `${command} ${args.join(' ')} ended with ${status ?? signal}`;
    throw new Error(`${words}:\n${stderr.slice(-2000)}${stdout.slice(0, 500)}`);
  }
  return outcome.stdout;
}

/** A folder with our commands under the names that people know, and a PATH that finds them first. */
export function ourCommands(t: TestContext): { path: string; env: { PATH: string } } {
  const path = join(temporaryFolder(t), 'bin');
  mkdirSync(path);
  for (const name of ['nbdkit', 'nbdinfo', 'nbdcopy', 'nbddump', 'nbdfuse', 'nbdimg']) {
    const script = `#!/bin/sh\nexec '${process.execPath}' '${join(DIST, `${name}.cjs`)}' "$@"\n`;
    writeFileSync(join(path, name), script, { mode: 0o755 });
  }
  return { path, env: { PATH: [path, SYSTEM_PATH].join(delimiter) } };
}

/** What a server stays for: a test, or several. */
export interface Starting {
  after(end: () => void | Promise<void>): void;
}

/** Starts a server of the system that stays; it ends with the test. Resolves when `ready` is true. */
export async function startProgram(
  t: Starting,
  command: string,
  args: readonly string[],
  ready: () => boolean | Promise<boolean>,
): Promise<void> {
  const child = spawn(command, args, {
    env: { ...process.env, PATH: SYSTEM_PATH, NODE_OPTIONS: '' },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let words = '';
  let gone = false;
  child.stderr.on('data', (bytes: Buffer) => {
    words += bytes;
  });
  const end = new Promise<void>(resolve => {
    child.on('close', () => {
      gone = true;
      resolve();
    });
  });
  t.after(async () => {
    // It may wait for a client that a failed test has left behind.
    child.kill('SIGKILL');
    await end;
  });
  for (const deadline = Date.now() + HANG_MS; !(await ready()); ) {
    if (gone || Date.now() > deadline) throw new Error(`${command} does not start: ${words}`);
    await new Promise(resolve => setTimeout(resolve, 20));
  }
}
