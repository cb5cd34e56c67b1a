import type { StatusRun } from '../block/device.ts';
import { BlockError, UsageError } from '../block/errors.ts';
import type { NbdClient } from '../client/client.ts';
import { BASE_ALLOCATION } from '../protocol/constants.ts';
import type { Colour, Painter } from './colours.ts';
import type { Range } from './range.ts';

/** A part of the disk whose status is one; neighbours of one status are one run. */
export interface Run {
  readonly offset: bigint;
  readonly length: bigint;
  readonly type: bigint;
}

/** The runs of a map in order, some at a time, as they become known. */
export type Runs = AsyncIterable<readonly Run[]>;

const LONGEST = BigInt(Number.MAX_SAFE_INTEGER);
/** Runs that are printed at once. */
const BATCH = 1000;
/** More kinds of status than any context has; a server that has them is not to fill the memory. */
const MOST_TYPES = 1 << 16;

/** A disk that tells of its blocks: a server's, or any that is asked in the same way. */
export type Asked = Pick<NbdClient, 'size' | 'metaContexts' | 'blockStatus'>;

/**
 * The map of a part of the disk in one metadata context. No more of it is kept than one answer.
 * @param range all of the disk unless given.
 * @throws UsageError the server does not have it.
 */
export async function* mapOf(
  client: Asked,
  context: string,
  { from, to }: Range = { from: 0n, to: client.size },
): AsyncGenerator<Run[]> {
  mustHave(client, context);
  const batch: Run[] = [];
  for (let offset = from; offset < to; ) {
    const left = to - offset;
    const length = left < LONGEST ? Number(left) : Number.MAX_SAFE_INTEGER;
    const statuses = await client.blockStatus(offset, length, { contexts: [context] });
    const before = offset;
    for (const found of statuses.get(context) ?? []) {
      if (offset >= to) break;
      // The last one may go on in what comes next.
      if (batch.length > BATCH) yield batch.splice(0, BATCH);
      offset = addRun(batch, found, offset, to);
    }
    if (offset === before) throw new BlockError('EPROTO', `the server gave no status at ${offset}`);
  }
  if (batch.length > 0) yield batch;
}

/** @throws UsageError the server does not have a context. */
export function mustHave({ metaContexts }: Pick<NbdClient, 'metaContexts'>, context: string): void {
  if (metaContexts.includes(context)) return;
  throw new UsageError(`--map: server does not support metadata context "${context}"`);
}

/** Where the run ends. */
function addRun(runs: Run[], found: StatusRun, offset: bigint, end: bigint): bigint {
  const left = end - offset;
  const length = BigInt(found.length) < left ? BigInt(found.length) : left;
  const type = BigInt(found.flags);
  const last = runs.at(-1);
  if (last?.type === type) runs[runs.length - 1] = { ...last, length: last.length + length };
  else runs.push({ offset, length, type });
  return offset + length;
}

/** The bytes of one type. */
export interface Total {
  readonly type: bigint;
  readonly size: bigint;
}

/** The bytes of each type, the types in order. @throws BlockError there are absurdly many. */
export async function totalsOf(map: Runs): Promise<Total[]> {
  const totals = new Map<bigint, bigint>();
  for await (const runs of map) {
    for (const { type, length } of runs) totals.set(type, (totals.get(type) ?? 0n) + length);
    if (totals.size > MOST_TYPES) {
      throw new BlockError('EPROTO', `the server gave more than ${MOST_TYPES} kinds of status`);
    }
  }
  const list = [...totals].map(([type, size]) => ({ type, size }));
  return list.sort((a, b) => (a.type < b.type ? -1 : 1));
}

const ALLOCATION = ['data', 'hole', 'zero', 'hole,zero'];
const DIRTY = ['clean', 'dirty'];
const DEPTH = ['absent', 'local'];

/** What a status means, in the contexts that are known. */
export function meaningOf(context: string, type: bigint): string | undefined {
  const index = Number(type);
  if (context === BASE_ALLOCATION) return ALLOCATION[index];
  if (context.startsWith('qemu:dirty-bitmap:')) return DIRTY[index];
  if (context === 'qemu:allocation-depth') return DEPTH[index] ?? `backing depth ${type}`;
  return undefined;
}

const COLOURS: Readonly<Record<string, Colour>> = {
  data: 'bold',
  clean: 'good',
  dirty: 'bad',
  absent: 'plain',
  local: 'inverse',
};

export function colourOf(meaning: string | undefined): Colour {
  if (meaning?.startsWith('backing depth')) return 'shaded';
  return COLOURS[meaning ?? ''] ?? 'plain';
}

/** The text of a map, piece by piece. */
export async function* mapText(map: Runs, context: string, paint: Painter): AsyncGenerator<string> {
  for await (const runs of map) {
    const lines = runs.map(({ offset, length, type }) => {
      const meaning = meaningOf(context, type);
      const numbers = `${column(offset, 10)}  ${column(length, 10)}  ${column(type, 3)}`;
      const line = meaning === undefined ? numbers : `${numbers}  ${meaning}`;
      return `${paint(colourOf(meaning), line)}\n`;
    });
    yield lines.join('');
  }
}

/** The map as a JSON document, piece by piece. */
export async function* mapJson(map: Runs, context: string): AsyncGenerator<string> {
  let before = '[\n';
  for await (const runs of map) {
    const items = runs.map(({ offset, length, type }) => {
      const numbers = `"offset": ${offset}, "length": ${length}, "type": ${type}`;
      const meaning = meaningOf(context, type);
      return `{ ${numbers}${meaning === undefined ? '' : `, "description": "${meaning}"`}}`;
    });
    yield before + items.join(',\n');
    before = ',\n';
  }
  yield before === '[\n' ? '[\n\n]\n' : '\n]\n';
}

export function totalsText(
  totals: readonly Total[],
  context: string,
  size: bigint,
  paint: Painter,
): string {
  const lines = totals.map(({ type, size: total }) => {
    const meaning = meaningOf(context, type);
    const share = toTenth((100 * Number(total)) / Number(size)).padStart(5);
    const numbers = `${column(total, 10)} ${share}% ${column(type, 3)}`;
    const line = meaning === undefined ? numbers : `${numbers} ${meaning}`;
    return `${paint(colourOf(meaning), line)}\n`;
  });
  return lines.join('');
}

export function totalsJson(totals: readonly Total[], context: string, size: bigint): string {
  const items = totals.map(({ type, size: total }) => {
    const percent = Number(((100 * Number(total)) / Number(size)).toPrecision(6));
    const numbers = `"size": ${total}, "percent": ${percent}, "type": ${type}`;
    const meaning = meaningOf(context, type);
    return `{ ${numbers}${meaning === undefined ? '' : `, "description": "${meaning}"`} }`;
  });
  return items.length === 0 ? '[]\n' : `[\n${items.join(',\n')}\n]\n`;
}

export const column = (value: bigint, width: number) => String(value).padStart(width);

/** To one decimal, a tie to the even one, as C prints it. */
export function toTenth(value: number): string {
  const tenths = value * 10;
  const rounded = Math.round(tenths);
  const tie = tenths % 1 === 0.5 && rounded % 2 === 1;
  return ((tie ? rounded - 1 : rounded) / 10).toFixed(1);
}
