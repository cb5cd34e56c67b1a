import { alignedDevice } from './aligned.ts';
import { closeAll } from './close-all.ts';
import {
  type BlockDevice,
  type BlockSize,
  type Extent,
  type ExtentsOptions,
  type Support,
  UNTORN,
} from './device.ts';
import { cacheRange, extentsOf, zeroRange } from './emulate.ts';
import { ExtentList } from './extents.ts';
import { eachPart, type Part, readParts } from './parts.ts';
import { firstAfter, type Range } from './ranges.ts';
import { type Maker, recipeOver } from './recipe.ts';
import { type Supports, supportOf } from './support.ts';
import { composed, type EveryMember } from './wrap.ts';

/** Devices in a row, and which of them a request goes to. */
class Row {
  readonly devices: readonly BlockDevice[];
  readonly size: bigint;
  readonly #ends: readonly Pick<Range, 'end'>[];

  /** @param devices none of them empty. */
  constructor(devices: readonly BlockDevice[]) {
    this.devices = devices;
    let size = 0n;
    this.#ends = devices.map(device => {
      size += device.size;
      return { end: size };
    });
    this.size = size;
  }

  every(has: (device: BlockDevice) => unknown): boolean {
    return this.devices.every(device => Boolean(has(device)));
  }

  some(has: (device: BlockDevice) => unknown): boolean {
    return this.devices.some(device => Boolean(has(device)));
  }

  cut(offset: bigint, length: number): Part[] {
    const found: Part[] = [];
    let at = offset;
    for (let index = firstAfter(this.#ends, offset), left = length; left > 0; index++) {
      const device = this.devices[index]!;
      const room = this.#ends[index]!.end - at;
      const run = room < left ? Number(room) : left;
      found.push({ device, offset: device.size - room, length: run });
      at += BigInt(run);
      left -= run;
    }
    return found;
  }

  async extents(offset: bigint, length: number, options?: ExtentsOptions): Promise<Extent[]> {
    const list = new ExtentList();
    for (const part of this.cut(offset, length)) {
      const runs = await extentsOf(part.device, part.offset, part.length, options);
      if (!list.addRuns(runs, part.length) || options?.one) break;
    }
    return list.extents;
  }
}

/**
 * Devices one after the other as one device. It can be written when all of them can; closing it
 * closes them. A request that crosses from one to the next is cut there. Where blocks would reach
 * from one into the next, each is made to take any offset and length.
 */
export function joinDevices(devices: readonly BlockDevice[]): BlockDevice {
  const { parts, blockSize } = withBlocks(devices.filter(({ size }) => size > 0n));
  const row = new Row(parts);
  const writable = row.every(part => part.write);
  const [only] = parts.length === 1 ? parts : [];
  const descriptions = new Set(parts.flatMap(({ description }) => description ?? []));
  return composed({
    size: row.size,
    description: descriptions.size > 0 ? [...descriptions].join(', ') : undefined,
    rotational: row.some(part => part.rotational),
    multiConn: row.every(part => part.multiConn),
    blockSize,
    contexts: only?.contexts,
    get recipe() {
      return recipeOver('join', undefined, ...parts);
    },
    read: (offset, length, options) => readParts(row.cut(offset, length), options),
    extents: row.some(part => part.extents)
      ? (offset, length, options) => row.extents(offset, length, options)
      : undefined,
    ...caching(row),
    opaque: row.every(part => part.opaque),
    ...(writable ? writing(row) : READ_ONLY),
    resize: undefined,
    close: () => closeAll(devices),
  });
}

/** Makes a join again. */
export const remakeJoin: Maker = (_from: undefined, over) => joinDevices(over);

type Writing = Pick<
  EveryMember,
  'fua' | 'zeroing' | 'fastZero' | 'write' | 'writeBuffer' | 'flush' | 'trim' | 'zero'
>;

const READ_ONLY: Writing = {
  fua: undefined,
  zeroing: undefined,
  fastZero: undefined,
  write: undefined,
  writeBuffer: undefined,
  flush: undefined,
  trim: undefined,
  zero: undefined,
};

function writing(row: Row): Writing {
  const has = (which: keyof Supports) => weakest(row, which);
  const zeroing = has('zero') === 'none' ? 'none' : undefined;
  const zeroes = !zeroing && row.some(part => part.zero);
  return {
    fua: has('fua'),
    zeroing,
    fastZero: zeroes ? has('fastZero') : undefined,
    write: (offset, data, options) =>
      eachPart(
        row.cut(offset, data.length),
        ({ device, ...part }, at) =>
          device.write!(part.offset, data.subarray(at, at + part.length), options),
        options?.signal,
      ),
    writeBuffer: row.some(part => part.writeBuffer)
      ? (offset, length) => {
          const [part, ...others] = row.cut(offset, length);
          // Elsewhere one that is abandoned would leave blocks torn.
          const fits = others.length === 0 && (offset - part!.offset) % BigInt(UNTORN) === 0n;
          return fits ? part!.device.writeBuffer?.(part!.offset, length) : undefined;
        }
      : undefined,
    zero: zeroes
      ? (offset, length, options) =>
          eachPart(
            row.cut(offset, length),
            part => zeroRange(part.device, part.offset, part.length, options),
            options?.signal,
          )
      : undefined,
    trim: row.some(part => part.trim)
      ? (offset, length, options) =>
          eachPart(
            row.cut(offset, length),
            part => part.device.trim?.(part.offset, part.length, options),
            options?.signal,
          )
      : undefined,
    flush: row.some(part => part.flush)
      ? async options => {
          for (const part of row.devices) await part.flush?.(options);
        }
      : undefined,
  };
}

/** Parts that do not want it are passed by, as it is a hint. */
function caching(row: Row): Pick<EveryMember, 'caching' | 'cache'> {
  const offered = (part: BlockDevice) => supportOf(part).cache !== 'none';
  if (!row.some(part => part.cache)) {
    return { caching: row.every(offered) ? 'emulated' : undefined, cache: undefined };
  }
  return {
    caching: undefined,
    cache: (offset, length, options) =>
      eachPart(
        row.cut(offset, length),
        part =>
          offered(part.device)
            ? cacheRange(part.device, part.offset, part.length, options)
            : undefined,
        options?.signal,
      ),
  };
}

const STRENGTHS: readonly Support[] = ['none', 'emulated', 'native'];

/** What all parts have of a capability. */
function weakest(row: Row, which: keyof Supports): Support {
  const strengths = row.devices.map(part => STRENGTHS.indexOf(supportOf(part)[which]));
  return STRENGTHS[Math.min(...strengths)] ?? 'none';
}

/** The parts with one block size for all, if there is one. */
function withBlocks(parts: readonly BlockDevice[]): {
  readonly parts: readonly BlockDevice[];
  readonly blockSize: BlockSize | undefined;
} {
  const blockSize = commonBlockSize(parts);
  if (!blockSize || blockSize.advisory) return { parts, blockSize };
  const block = BigInt(blockSize.minimum);
  const fit = parts.slice(0, -1).every(({ size }) => size % block === 0n);
  if (fit && blockSize.maximum >= blockSize.minimum) return { parts, blockSize };
  const aligned = parts.map(part => alignedDevice(part));
  return { parts: aligned, blockSize: commonBlockSize(aligned) };
}

/** What suits all parts: only those who insist count, if any do. */
function commonBlockSize(parts: readonly BlockDevice[]): BlockSize | undefined {
  const all = parts.flatMap(({ blockSize }) => blockSize ?? []);
  if (all.length === 0) return undefined;
  const strict = all.filter(({ advisory }) => !advisory);
  const binding = strict.length > 0 ? strict : all;
  const minimum = Math.max(...binding.map(block => block.minimum));
  const maximum = Math.min(...binding.map(block => block.maximum));
  const preferred = Math.max(minimum, ...all.map(block => block.preferred));
  const reachable = 2 ** Math.floor(Math.log2(maximum));
  return {
    minimum,
    preferred: Math.min(preferred, reachable),
    maximum,
    advisory: strict.length === 0 || undefined,
  };
}
