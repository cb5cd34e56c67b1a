/** A disk as a file, used by programs that know nothing of NBD, unmounted and mounted again. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Random } from '../../src/testing/model.ts';
import { run, runWell } from '../interop/programs.ts';
import { mebibytes, type Scenario } from './scenario.ts';
import { memoryOf, ServerProcess } from './server.ts';

const NBDFUSE = resolve(import.meta.dirname, '../../dist/nbdfuse.cjs');
/** Bytes that stay from one mount to the next, and bytes that are written anew all the time. */
const [KEPT, CHANGED] = [32 << 20, 96 << 20];
/** Jobs while it is mounted. */
const JOBS = 12;
/** What nbdfuse may have more at the end of a mount than after its first job. */
const GROWTH = 64 << 20;
const VERIFY = ['--verify=crc32c', '--verify_state_save=0'];
const ENGINES = [
  ['--ioengine=psync'],
  ['--ioengine=mmap'],
  ['--ioengine=libaio', '--direct=1', '--iodepth=1'],
  ['--ioengine=libaio', '--direct=1', '--iodepth=16'],
];

class Shown {
  readonly #child: ChildProcess;
  readonly file: string;
  said = '';

  static async start(folder: string, uri: string): Promise<Shown> {
    const [file, pidFile] = [join(folder, 'disk'), join(folder, 'mounted')];
    writeFileSync(file, '');
    const words = [NBDFUSE, '-P', pidFile, file, uri];
    const child = spawn(process.execPath, words, { stdio: ['ignore', 'ignore', 'pipe'] });
    const shown = new Shown(child, file);
    while (!existsSync(pidFile)) {
      assert.equal(child.exitCode, null, `nbdfuse has ended: ${shown.said}`);
      await delay(10);
    }
    return shown;
  }

  private constructor(child: ChildProcess, file: string) {
    this.#child = child;
    this.file = file;
    child.stderr!.setEncoding('utf8').on('data', text => {
      this.said += text;
    });
  }

  /** In bytes. */
  get memory(): number {
    return memoryOf(this.#child.pid!);
  }

  /** fio, on what changes. */
  job(random: Random): string[] {
    const engine = ENGINES[random.below(ENGINES.length)]!;
    const form = ['--rw=randrw', '--bsrange=512-256k', `--randseed=${random.below(2 ** 30)}`];
    const where = [`--filename=${this.file}`, `--offset=${KEPT}`, `--size=${CHANGED / 4}`];
    return ['--name=job', ...where, ...form, ...engine, ...VERIFY];
  }

  /** Runs so many jobs. @returns how much memory it had after the first. */
  async use(random: Random, jobs: number): Promise<number> {
    await runWell('fio', this.job(random));
    const { memory } = this;
    for (let left = jobs - 1; left > 0; left--) await runWell('fio', this.job(random));
    return memory;
  }

  /** fio, on what stays. */
  keep(seed: number, ...more: string[]): Promise<string> {
    const form = ['--rw=write', '--bs=64k', `--randseed=${seed}`, ...VERIFY];
    const where = [`--filename=${this.file}`, `--size=${KEPT}`];
    return runWell('fio', ['--name=kept', ...where, ...form, ...more]);
  }

  /** Has it unmounted, by a signal, or by a signal while a program writes. */
  async end(random: Random): Promise<string> {
    const how = WAYS[random.below(WAYS.length)]!;
    const { exitCode } = this.#child;
    assert.equal(exitCode, null, `nbdfuse has ended with ${exitCode}: ${this.said}`);
    const ended = once(this.#child, 'exit');
    const writing = how === 'in mid-write' && run('fio', [...this.job(random), '--loops=100']);
    if (writing) await delay(200 + random.below(1000));
    if (how === 'unmounted') await runWell('umount', [this.file]);
    else this.#child.kill('SIGTERM');
    assert.deepEqual(await ended, [0, null], this.said);
    if (writing) assert.notEqual((await writing).status, 0);
    assert.ok(!readFileSync('/proc/mounts', 'latin1').includes(` ${this.file} `), 'still mounted');
    assert.equal(this.said, '');
    return how;
  }

  /** Ends it after a failure. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await run('umount', ['-l', this.file]);
  }
}

/** How it ends. */
const WAYS = ['unmounted', 'by a signal', 'in mid-write'];

export const files: Scenario = {
  name: 'nbdfuse: programs write and verify, it is unmounted and mounted again',
  async run({ random, folder, scale, more, round }) {
    const server = await ServerProcess.start(folder, ['-U', 'socket', 'memory', '128M']);
    const ends = new Map<string, number>();
    let [jobs, growth, most, seed] = [0, 0, 0, 0];
    while (more()) {
      round();
      const shown = await Shown.start(folder, server.uri);
      try {
        if (seed > 0) await shown.keep(seed, '--verify_only=1');
        const memory = await shown.use(random, Math.ceil(JOBS * scale));
        growth = Math.max(growth, shown.memory - memory);
        most = Math.max(most, shown.memory);
        jobs += Math.ceil(JOBS * scale);
        seed = 1 + random.below(2 ** 30);
        await shown.keep(seed, '--do_verify=0');
        const how = await shown.end(random);
        ends.set(how, (ends.get(how) ?? 0) + 1);
      } catch (error) {
        await shown.kill();
        throw error;
      }
    }
    assert.ok(growth < GROWTH, `memory grew by ${mebibytes(growth)} in a mount`);
    await server.endWell();
    return [
      `${jobs} jobs of fio, every byte verified`,
      `what was written before is there after each mount`,
      `status 0 each time: ${[...ends].map(([how, count]) => `${count} ${how}`).join(', ')}`,
      `memory is ${mebibytes(most)} at most, and grew by ${mebibytes(growth)} after the first job`,
    ].join('; ');
  },
};
