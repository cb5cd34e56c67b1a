import { jsonText } from '../../protocol/text.ts';
import { smaller } from '../range.ts';
import { column, meaningOf, type Run, type Runs } from '../status-map.ts';

/** A part of the disk whose status is one in each of several contexts. */
export interface Row {
  readonly offset: bigint;
  readonly length: bigint;
  readonly types: readonly bigint[];
}

/** The runs of one map, one after the other. */
async function* single(map: Runs): AsyncGenerator<Run> {
  for await (const runs of map) yield* runs;
}

/** The maps of several contexts of the same range as one, cut wherever one of them changes. */
export async function* beside(maps: readonly Runs[]): AsyncGenerator<Row> {
  const each = maps.map(single);
  const next = async (index: number) => (await each[index]!.next()).value;
  const current = await Promise.all(each.map((_, index) => next(index)));
  while (current.every(run => run !== undefined)) {
    const { offset } = current[0]!;
    const length = current.map(run => run.length).reduce(smaller);
    yield { offset, length, types: current.map(({ type }) => type) };
    for (const [index, run] of current.entries()) {
      const rest = { ...run, offset: offset + length, length: run.length - length };
      current[index] = rest.length > 0n ? rest : await next(index);
    }
  }
}

/** The text of the rows, with a column for each context. */
export async function* besideText(
  rows: AsyncIterable<Row>,
  contexts: readonly string[],
): AsyncGenerator<string> {
  const widths = contexts.map(context => Math.max(context.length, 14));
  const heads = contexts.map((context, index) => context.padEnd(widths[index]!));
  yield `${`${'offset'.padStart(10)}  ${'length'.padStart(10)}  ${heads.join('  ')}`.trimEnd()}\n`;
  for await (const { offset, length, types } of rows) {
    const cells = types.map((type, index) => {
      const meaning = meaningOf(contexts[index]!, type);
      const words = `${column(type, 3)}${meaning === undefined ? '' : `  ${meaning}`}`;
      return words.padEnd(widths[index]!);
    });
    yield `${`${column(offset, 10)}  ${column(length, 10)}  ${cells.join('  ')}`.trimEnd()}\n`;
  }
}

/** The rows as a JSON document. */
export async function* besideJson(
  rows: AsyncIterable<Row>,
  contexts: readonly string[],
): AsyncGenerator<string> {
  let before = '[\n';
  for await (const { offset, length, types } of rows) {
    const statuses = types.map((type, index) => {
      const context = contexts[index]!;
      const meaning = meaningOf(context, type);
      const words = meaning === undefined ? '' : `, "description": "${meaning}"`;
      return `"${jsonText(context)}": { "type": ${type}${words} }`;
    });
    yield `${before}{ "offset": ${offset}, "length": ${length}, ${statuses.join(', ')} }`;
    before = ',\n';
  }
  yield before === '[\n' ? '[]\n' : '\n]\n';
}
