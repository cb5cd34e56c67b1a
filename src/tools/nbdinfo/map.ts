import type { StatusRun } from '../../block/device.ts';
import { BlockError, UsageError } from '../../block/errors.ts';
import type { NbdClient } from '../../client/client.ts';
import { BASE_ALLOCATION } from '../../protocol/constants.ts';
import type { Colour, Painter } from './style.ts';

/** A part of the disk whose status is one; neighbours of one status are one run. */
export interface Run {
  readonly offset: bigint;
  readonly length: bigint;
  readonly type: bigint;
}

const LONGEST = BigInt(Number.MAX_SAFE_INTEGER);

/**
 * The map of the whole disk in one metadata context.
 * @throws UsageError the server does not have it.
 */
export async function mapOf(client: NbdClient, context: string): Promise<Run[]> {
  if (!client.metaContexts.includes(context)) {
    throw new UsageError(`--map: server does not support metadata context "${context}"`);
  }
  const runs: Run[] = [];
  for (let offset = 0n; offset < client.size; ) {
    const left = client.size - offset;
    const length = left < LONGEST ? Number(left) : Number.MAX_SAFE_INTEGER;
    const statuses = await client.blockStatus(offset, length, { contexts: [context] });
    const found = statuses.get(context) ?? [];
    const end = addRuns(runs, found, offset, client.size);
    if (end === offset) throw new BlockError('EPROTO', `the server gave no status at ${offset}`);
    offset = end;
  }
  return runs;
}

function addRuns(runs: Run[], found: readonly StatusRun[], start: bigint, size: bigint): bigint {
  let offset = start;
  for (const { length: given, flags } of found) {
    if (offset >= size) break;
    const left = size - offset;
    const length = BigInt(given) < left ? BigInt(given) : left;
    const type = BigInt(flags);
    const last = runs.at(-1);
    if (last?.type === type) runs[runs.length - 1] = { ...last, length: last.length + length };
    else runs.push({ offset, length, type });
    offset += length;
  }
  return offset;
}

/** The bytes of each type, the types in order. */
function totalsOf(runs: readonly Run[]): { type: bigint; size: bigint }[] {
  const totals = new Map<bigint, bigint>();
  for (const { type, length } of runs) totals.set(type, (totals.get(type) ?? 0n) + length);
  const list = [...totals].map(([type, size]) => ({ type, size }));
  return list.sort((a, b) => (a.type < b.type ? -1 : 1));
}

const ALLOCATION = ['data', 'hole', 'zero', 'hole,zero'];
const DIRTY = ['clean', 'dirty'];
const DEPTH = ['absent', 'local'];

/** What a status means, in the contexts that are known. */
function meaningOf(context: string, type: bigint): string | undefined {
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

function colourOf(meaning: string | undefined): Colour {
  if (meaning?.startsWith('backing depth')) return 'shaded';
  return COLOURS[meaning ?? ''] ?? 'plain';
}

export function mapText(runs: readonly Run[], context: string, paint: Painter): string {
  const lines = runs.map(({ offset, length, type }) => {
    const meaning = meaningOf(context, type);
    const numbers = `${column(offset, 10)}  ${column(length, 10)}  ${column(type, 3)}`;
    const line = meaning === undefined ? numbers : `${numbers}  ${meaning}`;
    return `${paint(colourOf(meaning), line)}\n`;
  });
  return lines.join('');
}

export function mapJson(runs: readonly Run[], context: string): string {
  const items = runs.map(({ offset, length, type }) => {
    const numbers = `"offset": ${offset}, "length": ${length}, "type": ${type}`;
    const meaning = meaningOf(context, type);
    return `{ ${numbers}${meaning === undefined ? '' : `, "description": "${meaning}"`}}`;
  });
  return `[\n${items.join(',\n')}\n]\n`;
}

export function totalsText(
  runs: readonly Run[],
  context: string,
  size: bigint,
  paint: Painter,
): string {
  const lines = totalsOf(runs).map(({ type, size: total }) => {
    const meaning = meaningOf(context, type);
    const share = toTenth((100 * Number(total)) / Number(size)).padStart(5);
    const numbers = `${column(total, 10)} ${share}% ${column(type, 3)}`;
    const line = meaning === undefined ? numbers : `${numbers} ${meaning}`;
    return `${paint(colourOf(meaning), line)}\n`;
  });
  return lines.join('');
}

export function totalsJson(runs: readonly Run[], context: string, size: bigint): string {
  const items = totalsOf(runs).map(({ type, size: total }) => {
    const percent = Number(((100 * Number(total)) / Number(size)).toPrecision(6));
    const numbers = `"size": ${total}, "percent": ${percent}, "type": ${type}`;
    const meaning = meaningOf(context, type);
    return `{ ${numbers}${meaning === undefined ? '' : `, "description": "${meaning}"`} }`;
  });
  return items.length === 0 ? '[]\n' : `[\n${items.join(',\n')}\n]\n`;
}

const column = (value: bigint, width: number) => String(value).padStart(width);

/** To one decimal, a tie to the even one, as C prints it. */
function toTenth(value: number): string {
  const tenths = value * 10;
  const rounded = Math.round(tenths);
  const tie = tenths % 1 === 0.5 && rounded % 2 === 1;
  return ((tie ? rounded - 1 : rounded) / 10).toFixed(1);
}
