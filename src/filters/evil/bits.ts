import { Random } from '../../content/random.ts';

export interface Stuck {
  /** How many bits are stuck, from 0 to 1. */
  readonly rate: number;
  /** What it follows from which ones they are. */
  readonly seed: string;
  /** How often such a bit shows what it is stuck at, from 0 to 1. */
  readonly shows: number;
  /** Decides that, time by time. */
  readonly chance: Random;
}

/** About so many bits are stuck in a stretch of the disk, which is looked through from its start. */
const IN_STRETCH = 64;
const LEAST_STRETCH = 4096;

/** Turns bits around, each with the same probability, more than 0. */
export function flipBits(bytes: Uint8Array, rate: number, chance: Random): void {
  const end = bytes.length * 8;
  for (let bit = spared(rate, chance); bit < end; bit += 1 + spared(rate, chance)) {
    bytes[Math.floor(bit / 8)]! ^= 1 << (bit % 8);
  }
}

/** Sets and clears the bits that are stuck in the bytes at an offset. */
export function stickBits(bytes: Uint8Array, offset: bigint, stuck: Stuck): void {
  const stretch = Math.max(LEAST_STRETCH, 2 ** Math.ceil(Math.log2(IN_STRETCH / stuck.rate / 8)));
  for (let at = 0; at < bytes.length; ) {
    const place = offset + BigInt(at);
    const start = Number(place % BigInt(stretch));
    const part = bytes.subarray(at, at + stretch - start);
    stickInStretch(part, start, place / BigInt(stretch), stuck);
    at += part.length;
  }
}

/** @param start where in the stretch the bytes are. */
function stickInStretch(
  bytes: Uint8Array,
  start: number,
  stretch: bigint,
  { rate, seed, shows, chance }: Stuck,
): void {
  const random = new Random('stuck', seed, stretch);
  const end = (start + bytes.length) * 8;
  for (let bit = spared(rate, random); bit < end; bit += 1 + spared(rate, random)) {
    const isHigh = (random.next() & 1) === 1;
    const at = Math.floor(bit / 8) - start;
    if (at < 0 || (shows < 1 && chance.fraction() >= shows)) continue;
    const mask = 1 << (bit % 8);
    bytes[at] = isHigh ? bytes[at]! | mask : bytes[at]! & ~mask;
  }
}

/** How many bits there are before the next that is struck. */
function spared(rate: number, random: Random): number {
  return Math.floor(Math.log(1 - random.fraction()) / Math.log1p(-rate));
}
