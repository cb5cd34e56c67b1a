import type { RequestOptions } from '../../../block/device.ts';
import { damaged } from '../damaged.ts';
import type { Pages } from '../pages.ts';
import { placeOf, type Superblock } from './superblock.ts';

/** Blocks in which the log counts, whatever the size of a sector. */
const UNIT = 512;
const MAGIC = 0xfeedbabe;
const UNMOUNT = 0x20;
/** Bytes of a record to which one header belongs. */
const HEADER_COVERS = 32 << 10;
/** Units of the longest record, with its headers, twice over. */
const LONGEST = (2 * (256 << 10)) / UNIT + 16;

/**
 * Whether the log has changes that are not yet in their places: its last record is not the one that
 * is written when the file system is unmounted.
 * @throws BlockError
 */
export async function hasWork(
  pages: Pages,
  superblock: Superblock,
  options?: RequestOptions,
): Promise<boolean> {
  const { logStart, logBlocks, blockSize } = superblock;
  const start = placeOf(superblock, logStart, 'xfs: log', logBlocks);
  const units = (logBlocks * blockSize) / UNIT;
  if (units === 0) throw damaged('xfs: log', 'it is empty');
  const unit = (at: number) => pages.structure('xfs: log', start + at * UNIT, UNIT, options);
  const head = await headOf(unit, units);
  if (head === undefined) return false;
  for (let back = 1; back <= Math.min(LONGEST, units); back++) {
    const at = (head - back + units) % units;
    const header = await unit(at);
    if (header.readUInt32BE(0) !== MAGIC) continue;
    return !(await isUnmount(unit, units, at, header, back));
  }
  return true;
}

type ReadUnit = (at: number) => Buffer | PromiseLike<Buffer>;

/** The number of the round in which a unit was written: its first word, but for headers the second. */
async function cycleAt(unit: ReadUnit, at: number): Promise<number> {
  const bytes = await unit(at);
  const word = bytes.readUInt32BE(0);
  return word === MAGIC ? bytes.readUInt32BE(4) : word;
}

/** Where the next record would go: the first unit of the round before. @returns undefined it was never used. */
async function headOf(unit: ReadUnit, units: number): Promise<number | undefined> {
  const first = await cycleAt(unit, 0);
  if (first === 0) return undefined;
  if ((await cycleAt(unit, units - 1)) === first) return 0;
  let [low, high] = [0, units - 1];
  while (high - low > 1) {
    const middle = (low + high) >>> 1;
    if ((await cycleAt(unit, middle)) === first) low = middle;
    else high = middle;
  }
  return high;
}

async function isUnmount(
  unit: ReadUnit,
  units: number,
  at: number,
  header: Buffer,
  length: number,
): Promise<boolean> {
  const second = (header.readUInt32BE(8) & 2) !== 0;
  const headers = second ? Math.max(1, Math.ceil(header.readUInt32BE(320) / HEADER_COVERS)) : 1;
  const data = Math.ceil(header.readUInt32BE(12) / UNIT);
  if (header.readUInt32BE(40) !== 1 || headers + data !== length) return false;
  const operation = await unit((at + headers) % units);
  return (operation[9]! & UNMOUNT) !== 0;
}
