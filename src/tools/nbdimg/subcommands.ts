import type { CommandLine, Options } from '../cli.ts';

/** One of the commands, by its options and what it does. */
export interface Subcommand {
  readonly options: Options;
  /** @returns the exit status. */
  run(line: CommandLine<string>): Promise<number>;
}

const load = (module: Promise<{ default: Subcommand }>) =>
  module.then(({ default: command }) => command);

/** By the names of qemu-img. */
export const SUBCOMMANDS: Readonly<Record<string, () => Promise<Subcommand>>> = {
  amend: () => load(import('./amend.ts')),
  bench: () => load(import('./bench.ts')),
  bitmap: () => load(import('./bitmap.ts')),
  check: () => load(import('./check.ts')),
  commit: () => load(import('./commit.ts')),
  compare: () => load(import('./compare.ts')),
  convert: () => load(import('./convert.ts')),
  create: () => load(import('./create.ts')),
  dd: () => load(import('./dd.ts')),
  info: () => load(import('./info.ts')),
  map: () => load(import('./map.ts')),
  measure: () => load(import('./measure.ts')),
  rebase: () => load(import('./rebase.ts')),
  resize: () => load(import('./resize.ts')),
  snapshot: () => load(import('./snapshot.ts')),
};
