import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Workload } from './kinds.ts';
import { command, run, Served, type Side, seconds } from './measure.ts';

const SIZE = '1G';
const NEEDS = ['nbdfuse', 'nbdkit'];

/** A disk in the file system, shown by nbdfuse of one side. */
export async function show(side: Side, folder: string, disk: readonly string[]) {
  const file = join(folder, `disk-${Math.random().toString(36).slice(2)}`);
  writeFileSync(file, '');
  const [program, ...words] = [...command(side, 'nbdfuse'), file, ...disk];
  const child = spawn(program!, words, { stdio: ['ignore', 'ignore', 'inherit'] });
  while (statSync(file).size === 0) {
    if (child.exitCode !== null) throw new Error(`nbdfuse ended with ${child.exitCode}`);
    await delay(20);
  }
  const stop = async () => {
    await run(['umount', file]);
    if (child.exitCode === null) await once(child, 'exit');
  };
  return { file, stop };
}

/** The disk of each side, and what is measured on it once it has been written. */
function shown(
  name: string,
  unit: Workload['unit'],
  goal: number,
  disk: (side: Side, uri: string) => readonly string[],
  measure: (file: string) => Promise<number>,
): Workload {
  return {
    name: `nbdfuse: ${name}`,
    unit,
    goal,
    needs: [...NEEDS, 'fio'],
    start: async (side, folder) => {
      const server = await Served.start('peer', folder, ['memory', SIZE]);
      const { file, stop } = await show(side, folder, disk(side, server.uri));
      await write(file);
      return {
        measure: () => measure(file),
        stop: async () => {
          await stop();
          await server.stop();
        },
      };
    },
  };
}

const read = (file: string) => seconds(['dd', `if=${file}`, 'of=/dev/null', 'bs=1M']);
const write = (file: string) =>
  seconds(['dd', 'if=/dev/zero', `of=${file}`, 'bs=1M', 'count=1024', 'conv=notrunc']);

const random = (depth: number) => async (file: string) => {
  const job = ['--name=job', `--filename=${file}`, '--rw=randread', '--bs=4k', '--direct=1'];
  const length = ['--ioengine=libaio', '--size=1G', '--time_based', '--runtime=2'];
  const form = ['--ramp_time=0.5', `--iodepth=${depth}`, '--output-format=json'];
  const output = await run(['fio', ...job, ...length, ...form]);
  return JSON.parse(output.slice(output.indexOf('{'))).jobs[0].read.iops;
};

const overServer = (_side: Side, uri: string) => [uri];
const byCommand = () => ['--command', 'nbdkit', '-s', 'memory', SIZE];
const inside = (side: Side) => (side === 'ours' ? ['--plugin', 'memory', SIZE] : byCommand());

export const FUSE_WORKLOADS: readonly Workload[] = [
  shown('read 1 GiB (C server)', 's', 1.5, overServer, read),
  shown('write 1 GiB (C server)', 's', 1.5, overServer, write),
  shown('read 1 GiB (--command, C server)', 's', 1.5, byCommand, read),
  shown('write 1 GiB (--command, C server)', 's', 1.5, byCommand, write),
  shown('4-KiB reads, depth 1 (C server)', '/s', 1.2, overServer, random(1)),
  shown('4-KiB reads, depth 16 (C server)', '/s', 1.2, overServer, random(16)),
  shown('read 1 GiB (--plugin, peer: --command)', 's', 2, inside, read),
  shown('write 1 GiB (--plugin, peer: --command)', 's', 2, inside, write),
  shown('4-KiB reads, depth 1 (--plugin, peer: --command)', '/s', 2, inside, random(1)),
  shown('4-KiB reads, depth 16 (--plugin, peer: --command)', '/s', 2, inside, random(16)),
];
