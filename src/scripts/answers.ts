/** What scripts print, in the forms of nbdkit's sh plugin. */
import type { BlockSize, ExportEntry, Extent, Support } from '../block/device.ts';
import { ExtentList } from '../block/extents.ts';
import { parseSize } from '../block/size.ts';

/** @throws Error */
export function parseSupport(text: string): Support {
  const word = text.toLowerCase();
  if (word === 'emulate') return 'emulated';
  if (word === 'none' || word === 'native') return word;
  throw new Error('expected none, emulate or native');
}

const powerOfTwo = (size: bigint) => size > 0n && (size & (size - 1n)) === 0n;

/** `MINIMUM PREFERRED MAXIMUM`; three zeroes for none. @throws Error */
export function parseBlockSize(text: string): BlockSize | undefined {
  const sizes = text.trim().split(/[ \t\n]+/);
  const [minimum, preferred, maximum] = sizes.map(parseSize);
  if (minimum === undefined || preferred === undefined || maximum === undefined) {
    throw new Error('expected three sizes: minimum, preferred, maximum');
  }
  if (minimum === 0n && preferred === 0n && maximum === 0n) return undefined;
  if (!powerOfTwo(minimum) || minimum > 65536n) {
    throw new Error('the minimum must be a power of two from 1 to 64K');
  }
  if (!powerOfTwo(preferred) || preferred < 512n || preferred > 32n << 20n || preferred < minimum) {
    throw new Error('preferred must be a power of two from 512 to 32M, at least the minimum');
  }
  const most = 2n ** 32n - 1n;
  if (maximum > most || maximum < preferred || (maximum !== most && maximum % minimum !== 0n)) {
    throw new Error('the maximum must be a multiple of the minimum, at least preferred, below 4G');
  }
  return {
    minimum: Number(minimum),
    preferred: Number(preferred),
    maximum: Number(maximum),
    advisory: true,
  };
}

/** The longest name or description of an export, in bytes. */
const MOST_NAME = 4096;

/** Names, or names with descriptions, as the first line says. @throws Error */
export function parseExports(text: string): ExportEntry[] {
  const lines = text.split('\n');
  if (lines.at(-1) === '') lines.pop();
  const [form, ...rest] = lines;
  if (form === 'INTERLEAVED') {
    const names = rest.filter((_, index) => index % 2 === 0);
    return entries(names, index => rest[2 * index + 1]);
  }
  if (form === 'NAMES+DESCRIPTIONS') {
    const half = Math.ceil(rest.length / 2);
    return entries(rest.slice(0, half), index => rest[half + index]);
  }
  return entries(form === 'NAMES' ? rest : lines);
}

/** @throws Error */
function entries(names: readonly string[], descriptionOf?: (index: number) => string | undefined) {
  return names.map((name, index) => {
    const description = descriptionOf?.(index) || undefined;
    for (const text of [name, description ?? '']) {
      if (Buffer.byteLength(text) <= MOST_NAME) continue;
      throw new Error(`names and descriptions have at most ${MOST_NAME} bytes`);
    }
    return { name, description };
  });
}

/** The export that a list of them begins with. */
export function firstExport(text: string): string {
  const [form, name = ''] = text.split('\n');
  return /^(INTERLEAVED|NAMES(\+DESCRIPTIONS)?)$/.test(form!) ? name : form!;
}

const HOLE = 1;
const ZERO = 2;

/**
 * The runs from `offset` on, `length` bytes at most, of lines `OFFSET LENGTH TYPE` in order and without
 * gaps, which may begin before. TYPE is a number, or has the words hole and zero in it.
 * @throws Error
 */
export function parseExtents(text: string, offset: bigint, length: number): Extent[] {
  const list = new ExtentList();
  const end = offset + BigInt(length);
  let next: bigint | undefined;
  for (const line of text.split('\n')) {
    if (line.trim() === '') continue;
    const [from, long, type = '0'] = line.trim().split(/[ \t]+/);
    if (long === undefined) throw new Error(`cannot parse '${line}': expected OFFSET LENGTH TYPE`);
    const start = parseSize(from!);
    const stop = start + parseSize(long);
    if (next !== undefined && start !== next) throw new Error(`expected a run at ${next}`);
    if (next === undefined && start > offset) throw new Error(`expected a run from ${offset} on`);
    next = stop;
    const low = start < offset ? offset : start;
    const high = stop > end ? end : stop;
    if (high > low) list.add(Number(high - low), ...kindOf(type));
    if (stop >= end) break;
  }
  if (list.length === 0) throw new Error('there is no run of what was asked for');
  return list.extents;
}

function kindOf(type: string): [hole: boolean, zero: boolean] {
  const flags = /^\d+/.exec(type)?.[0];
  if (flags === undefined) return [type.includes('hole'), type.includes('zero')];
  return [(Number(flags) & HOLE) !== 0, (Number(flags) & ZERO) !== 0];
}
