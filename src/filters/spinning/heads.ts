import { sleep } from '../../block/sleep.ts';
import { Turns } from '../../block/turns.ts';

/** Moves that are shorter, in bytes, take no time. */
const TRACK = 128 * 1024;

/** How long moves take, in ms. */
export interface SeekTimes {
  /** To the next track. */
  readonly least: number;
  /** Over half of a head's part of the disk. */
  readonly half: number;
  /** Over all of it. */
  readonly most: number;
}

export interface HeadOptions {
  readonly size: bigint;
  readonly count: number;
  /** Each moves by itself, instead of all on one arm. */
  readonly separate: boolean;
  readonly times: SeekTimes;
}

/** The heads of a disk, each over an equal part of it. */
export class Heads {
  readonly #options: HeadOptions;
  /** Bytes that belong to each. */
  readonly #part: number;
  /** Where each is in its part; on one arm, only the first counts. */
  readonly #places: number[];
  /** One move at a time. */
  readonly #turns: readonly Turns[];

  constructor(options: HeadOptions) {
    this.#options = options;
    this.#part = Math.max(1, Math.floor(Number(options.size) / options.count));
    const arms = options.separate ? options.count : 1;
    this.#places = Array<number>(arms).fill(0);
    this.#turns = Array.from({ length: arms }, () => new Turns(1));
  }

  /** Moves the head of a place there, for as long as that takes. */
  seek(offset: bigint, signal?: AbortSignal): void | PromiseLike<void> {
    const { count, separate } = this.#options;
    const head = Math.min(Math.floor(Number(offset) / this.#part), count - 1);
    const arm = separate ? head : 0;
    return this.#turns[arm]!.run(() => {
      const place = Number(offset) - head * this.#part;
      const distance = Math.abs(place - this.#places[arm]!);
      this.#places[arm] = place;
      if (distance > TRACK)
        return sleep(seekTime(distance / this.#part, this.#options.times), signal);
    }, signal);
  }
}

/** The curve of second order through the three times. @param stroke 0 to 1. */
export function seekTime(stroke: number, { least, half, most }: SeekTimes): number {
  const a = 2 * (most - 2 * half + least);
  const b = 2 * (half - least - a / 4);
  return Math.max(0, a * stroke ** 2 + b * stroke + least);
}
