import { UsageError } from '../../block/errors.ts';
import type { NbdClient } from '../../client/client.ts';
import { harmless, jsonText } from '../../protocol/text.ts';
import { print } from '../cli.ts';
import type { Painter } from '../colours.ts';
import type { Range } from '../range.ts';
import {
  mapJson,
  mapOf,
  mapText,
  mustHave,
  totalsJson,
  totalsOf,
  totalsText,
} from '../status-map.ts';
import { negotiating, type Target, withClient } from '../target.ts';

/** What is to be shown of a disk's map. */
export interface MapWish {
  /** Metadata contexts; `all` stands for those that there are. */
  readonly contexts: readonly string[];
  readonly range: (size: bigint) => Range;
  readonly json: boolean;
  readonly totals: boolean;
  /** A picture, in a file or on the terminal. */
  readonly picture: { readonly file: string | undefined } | undefined;
  readonly paint: Painter;
}

/** Prints as it comes, however long it is. @throws UsageError; BlockError */
export async function showMaps(target: Target, wish: MapWish): Promise<void> {
  const contexts = wish.contexts.includes('all') ? await allContexts(target) : wish.contexts;
  await withClient(target, contexts, async client => {
    for (const context of contexts) mustHave(client, context);
    const range = wish.range(client.size);
    if (wish.picture) {
      const { showPictures } = await import('../picture-show.ts');
      await showPictures(client, contexts, range, { ...wish.picture, paint: wish.paint });
    } else if (wish.totals) await showTotals(client, contexts, range, wish);
    else await showRuns(client, contexts, range, wish);
  });
}

async function allContexts(target: Target): Promise<string[]> {
  const { exportName } = target;
  const all = await negotiating(target, {}, each => each.listMetaContexts(exportName));
  if (all.length > 0) return all;
  throw new UsageError('--map: server does not support any metadata context');
}

async function showRuns(
  client: NbdClient,
  contexts: readonly string[],
  range: Range,
  { json, paint }: MapWish,
): Promise<void> {
  const maps = contexts.map(context => mapOf(client, context, range));
  let pieces: AsyncIterable<string>;
  if (maps.length === 1) {
    const [map, context] = [maps[0]!, contexts[0]!];
    pieces = json ? mapJson(map, context) : mapText(map, context, paint);
  } else {
    const { beside, besideJson, besideText } = await import('./beside.ts');
    const rows = beside(maps);
    pieces = json ? besideJson(rows, contexts) : besideText(rows, contexts);
  }
  for await (const piece of pieces) await print(piece);
}

async function showTotals(
  client: NbdClient,
  contexts: readonly string[],
  range: Range,
  { json, paint }: MapWish,
): Promise<void> {
  const size = range.to - range.from;
  const texts: string[] = [];
  for (const context of contexts) {
    const totals = await totalsOf(mapOf(client, context, range));
    texts.push(json ? totalsJson(totals, context, size) : totalsText(totals, context, size, paint));
  }
  if (contexts.length === 1) return print(texts[0]!);
  const named = contexts.map((context, index) => {
    const text = texts[index]!;
    return json ? `"${jsonText(context)}": ${text.trimEnd()}` : `${harmless(context)}:\n${text}`;
  });
  await print(json ? `{\n${named.join(',\n')}\n}\n` : named.join(''));
}
