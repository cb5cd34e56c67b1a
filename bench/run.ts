/** `npm run bench [-- --only REGEX] [--rounds N] [--json FILE]`: ours beside the C tools. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { FOLDER, prepare, type Workload } from './kinds.ts';
import { hasProgram, median, type Side } from './measure.ts';
import { WORKLOADS } from './workloads.ts';

const { values } = parseArgs({
  options: {
    only: { type: 'string', default: '.' },
    rounds: { type: 'string', default: '5' },
    json: { type: 'string', default: resolve(import.meta.dirname, 'results/latest.json') },
  },
});

interface Result {
  readonly name: string;
  readonly unit: string;
  readonly ours: number;
  readonly peer: number | undefined;
  /** Above 1 ours is better. */
  readonly ratio: number | undefined;
  readonly goal: number;
}

async function measure(workload: Workload, folder: string, rounds: number): Promise<Result> {
  const missing = workload.needs.filter(name => !hasProgram(name));
  if (missing.length > 0) console.log(`${workload.name}: no peer: needs ${missing.join(', ')}`);
  const sides: Side[] = missing.length > 0 ? ['ours'] : ['ours', 'peer'];
  const samples: Record<Side, number[]> = { ours: [], peer: [] };
  const running = [];
  try {
    for (const side of sides) running.push({ side, ...(await workload.start(side, folder)) });
    for (let round = 0; round < rounds; round++) {
      const order = round % 2 === 0 ? running : running.toReversed();
      for (const { side, measure } of order) samples[side].push(await measure());
    }
  } finally {
    for (const { stop } of running) await stop?.();
  }
  const ours = median(samples.ours);
  const peer = samples.peer.length > 0 ? median(samples.peer) : undefined;
  const { name, unit, goal } = workload;
  const ratio = peer === undefined ? undefined : unit === '/s' ? ours / peer : peer / ours;
  return { name, unit, ours, peer, ratio, goal };
}

function row({ name, unit, ours, peer, ratio, goal }: Result): string {
  const number = (value: number | undefined) =>
    (value === undefined ? '-' : unit === '/s' ? value.toFixed(0) : value.toFixed(3)).padStart(9);
  const verdict = ratio === undefined ? '' : ratio >= goal ? '' : ' below';
  const figures = `${number(ours)} ${number(peer)} ${unit.padEnd(3)}`;
  return `${name.padEnd(62)} ${figures} ${(ratio?.toFixed(2) ?? '-').padStart(6)} ${goal.toFixed(2).padStart(5)}${verdict}`;
}

const chosen = WORKLOADS.filter(({ name }) => new RegExp(values.only).test(name));
const folder = mkdtempSync(join(FOLDER, 'nbdpipe-bench-'));
/** What nbdfuse shows in the folder is given up first. */
const clean = () => {
  for (const [, point] of readFileSync('/proc/mounts', 'utf8').matchAll(/^\S+ (\S+) fuse/gm)) {
    if (point!.startsWith(folder)) spawnSync('umount', ['--lazy', point!]);
  }
  rmSync(folder, { recursive: true, force: true });
};
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    clean();
    process.kill(process.pid, signal);
  });
}
const results: Result[] = [];
try {
  await prepare(folder);
  console.log(
    `${'workload (medians)'.padEnd(62)} ${'ours'.padStart(9)} ${'peer'.padStart(9)}      ratio  goal`,
  );
  for (const workload of chosen) {
    const result = await measure(workload, folder, Number(values.rounds));
    results.push(result);
    console.log(row(result));
  }
} finally {
  clean();
  mkdirSync(dirname(values.json), { recursive: true });
  writeFileSync(values.json, `${JSON.stringify(results, undefined, 2)}\n`);
}
