import type { Random } from '../../src/testing/model.ts';

/** What a scenario gets. */
export interface Trial {
  readonly random: Random;
  /** A folder of its own. */
  readonly folder: string;
  /** How large it is, 1 for what docs/reliability.md tells of; less for a quick look. */
  readonly scale: number;
  /** Whether there is time for another round; there is for the first. */
  more(): boolean;
  /** Counts a round. */
  round(): void;
}

/** Something that goes wrong, over and over, while others want to be served. */
export interface Scenario {
  readonly name: string;
  /**
   * Goes through rounds while there is time.
   * @returns what is worth telling.
   * @throws when something does not hold.
   */
  run(trial: Trial): Promise<string>;
}

export const milliseconds = (value: number) => `${value.toFixed(value < 10 ? 1 : 0)} ms`;
export const mebibytes = (bytes: number) => `${(bytes / 2 ** 20).toFixed(0)} MiB`;
