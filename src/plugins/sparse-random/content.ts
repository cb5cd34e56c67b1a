import { contiguous } from '../../block/data.ts';
import type { Data } from '../../block/device.ts';
import { keystream } from '../../content/keystream.ts';
import { BLOCK } from './shape.ts';

/** Blocks that are taken from one place of the tile. */
const GROUP = 8;
const GROUP_BYTES = GROUP * BLOCK;
const TILE_BLOCKS = 512;

/**
 * Data in which each block of 4096 bytes repeats one random byte, never 0. It is made of views of
 * one tile of 2 MiB: each 32 KiB of the disk stand at a random place of it, so that reading costs
 * nothing and data in the wrong place is still noticed.
 */
export function repeatedBytes(key: Buffer): (offset: bigint, length: number) => Data {
  const random = Buffer.from(contiguous(keystream(key, 0n, TILE_BLOCKS + 8)));
  const salt = [random.readInt32LE(TILE_BLOCKS), random.readInt32LE(TILE_BLOCKS + 4)] as const;
  let tile: Buffer | undefined;
  return (offset, length) => {
    tile ??= makeTile(random);
    let group = Number(offset / BigInt(GROUP_BYTES));
    let start = Number(offset % BigInt(GROUP_BYTES));
    const views: Uint8Array[] = [];
    for (let left = length; left > 0; group++, start = 0) {
      const run = Math.min(left, GROUP_BYTES - start);
      const at = (mix(group, salt) % (TILE_BLOCKS - GROUP + 1)) * BLOCK + start;
      views.push(tile.subarray(at, at + run));
      left -= run;
    }
    return views;
  };
}

function makeTile(random: Buffer): Buffer {
  const tile = Buffer.allocUnsafeSlow(TILE_BLOCKS * BLOCK);
  for (let block = 0; block < TILE_BLOCKS; block++) {
    tile.fill(1 + (random[block]! % 255), block * BLOCK, (block + 1) * BLOCK);
  }
  return tile;
}

/** A well-spread number from 0 to 2^32-1 for a group. */
function mix(group: number, [low, high]: readonly [number, number]): number {
  let hash = (group | 0) ^ low;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b) ^ high ^ Math.floor(group / 2 ** 32);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
