/** `npm run reliability -- [SECONDS [SEED [NAME]]]`: prints a row of docs/reliability.md for each scenario. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { Random } from '../../src/testing/model.ts';
import { crowd } from './crowd.ts';
import { full, killed, terminated } from './faults.ts';
import { files } from './files.ts';
import { misbehaving } from './plugins.ts';
import type { Scenario } from './scenario.ts';
import { crowded, strangers, strangersOfTls } from './strangers.ts';

export const SCENARIOS: readonly Scenario[] = [
  crowd,
  killed,
  terminated,
  full,
  misbehaving,
  strangers,
  strangersOfTls,
  crowded,
  files,
];

/** Goes through one scenario. @returns how many rounds, and what it tells. */
export async function tried(scenario: Scenario, seconds: number, seed: number, scale = 1) {
  const folder = mkdtempSync(join(tmpdir(), 'nbdpipe-reliability-'));
  const end = performance.now() + seconds * 1000;
  let rounds = 0;
  try {
    const figures = await scenario.run({
      random: new Random(seed),
      folder,
      scale,
      more: () => rounds === 0 || performance.now() < end,
      round: () => {
        rounds += 1;
      },
    });
    return { rounds, figures };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** @param name a part of the names of those that are tried; all unless said. */
async function main(seconds = 60, seed = Date.now() % 1_000_000, name = ''): Promise<void> {
  const chosen = SCENARIOS.filter(scenario => scenario.name.includes(name));
  console.log(`Seed ${seed}, ${seconds} s.\n\n| what | rounds | what held |\n| --- | --- | --- |`);
  for (const scenario of chosen) {
    const words = await tried(scenario, seconds / chosen.length, seed).then(
      ({ rounds, figures }) => `${rounds} | ${figures}`,
      error => {
        process.exitCode = 1;
        return `FAILED | ${error.stack}`;
      },
    );
    console.log(`| ${scenario.name} | ${words} |`);
  }
}

const numberIn = (word: string | undefined) => (word === undefined ? undefined : Number(word));

if (process.argv[1] === import.meta.filename) {
  const [, , seconds, seed, name] = process.argv;
  await main(numberIn(seconds), numberIn(seed), name);
}
