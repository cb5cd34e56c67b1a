import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { NbdClient } from '../../src/client/client.ts';
import { connect } from '../../src/client/connect.ts';

const NBDKIT = resolve(import.meta.dirname, '../../dist/nbdkit.cjs');
/** A client that waits so long for its answer is not served, in ms. */
const PATIENCE = 10_000;

/** A server in a process of its own. */
export class ServerProcess {
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;
  #printed = '';
  #said = '';
  /** Longest time in which a client that behaves was served, in ms. */
  longest = 0;

  /**
   * A server of these words, once it says where it is.
   * @param before what the shell does that becomes the server.
   */
  static async start(
    folder: string,
    words: readonly string[],
    before = ':',
  ): Promise<ServerProcess> {
    const own = ['-f', '--exit-with-parent', '--print-uri'];
    const command = [process.execPath, NBDKIT, ...own, ...words];
    const child = spawn('/bin/sh', ['-c', `${before}; exec "$0" "$@"`, ...command], {
      cwd: folder,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const server = new ServerProcess(child);
    while (!server.#printed.endsWith('\n')) {
      assert.equal(child.exitCode, null, `the server has ended: ${server.said}`);
      await delay(5);
    }
    return server;
  }

  private constructor(child: ChildProcess) {
    this.#child = child;
    this.#ended = once(child, 'close');
    child.stdout!.setEncoding('utf8').on('data', text => {
      this.#printed += text;
    });
    child.stderr!.setEncoding('utf8').on('data', text => {
      this.#said += text;
    });
  }

  get uri(): string {
    return this.#printed.trim();
  }

  get pid(): number {
    return this.#child.pid!;
  }

  /** What it has written to its log. */
  get said(): string {
    return this.#said;
  }

  /** How often its log has these words. */
  count(words: string): number {
    return this.#said.split(words).length - 1;
  }

  get alive(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  connect(exportName = ''): Promise<NbdClient> {
    return connect(this.uri, { exportName, signal: AbortSignal.timeout(PATIENCE) });
  }

  /** A client comes, reads and leaves: whatever the others do, it is served, and soon. */
  async serves(exportName = '', length = 4096): Promise<void> {
    assert.ok(this.alive, `the server has ended: ${this.#said.slice(-2000)}`);
    const begin = performance.now();
    const client = await this.connect(exportName);
    const signal = AbortSignal.timeout(PATIENCE);
    await client.read(0n, Math.min(length, Number(client.size)), { signal });
    await client.close();
    this.longest = Math.max(this.longest, performance.now() - begin);
  }

  /** In bytes. */
  get memory(): number {
    return memoryOf(this.pid);
  }

  get descriptors(): number {
    return readdirSync(`/proc/${this.pid}/fd`).length;
  }

  /** Waits until no more descriptors are open than that: what clients left behind is gone. */
  async settles(descriptors: number): Promise<void> {
    for (const end = performance.now() + PATIENCE; this.descriptors > descriptors; ) {
      const words = `${this.descriptors} descriptors are open, ${descriptors} were`;
      assert.ok(performance.now() < end, words);
      await delay(10);
    }
  }

  /** Ends it with a signal. @returns the exit status and the time that it took, in ms. */
  async end(signal: NodeJS.Signals = 'SIGTERM'): Promise<{ status: number | null; took: number }> {
    const begin = performance.now();
    this.#child.kill(signal);
    await this.#ended;
    return { status: this.#child.exitCode, took: performance.now() - begin };
  }

  /** Ends it in order, and looks at what it has said: no stack, no warning of Node's. */
  async endWell(): Promise<void> {
    const { status } = await this.end();
    assert.equal(status, 0, this.#said.slice(-2000));
    assert.doesNotMatch(this.#said, /^ +at |\(node:\d+\)|ExperimentalWarning/m);
  }
}

/** What a process takes, in bytes. */
export function memoryOf(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/VmRSS:\s*(\d+) kB/.exec(status)![1]) * 1024;
}
