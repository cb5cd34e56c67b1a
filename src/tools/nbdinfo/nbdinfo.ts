import { UsageError } from '../../block/errors.ts';
import type { NbdClient } from '../../client/client.ts';
import { BASE_ALLOCATION } from '../../protocol/constants.ts';
import { type CommandLine, type Options, oneLine, print, run } from '../cli.ts';
import { COLOUR_OPTIONS, type Painter, painter, wantsColour } from '../colours.ts';
import { STANDARD, understand } from '../standard.ts';
import { oneEndpoint, openTarget, type Target, withClient } from '../target.ts';
import { question, WORDS } from './can.ts';
import { gatherAll, gatherOne } from './facts.ts';
import { mapJson, mapOf, mapText, totalsJson, totalsOf, totalsText } from './map.ts';
import { showJson, showText } from './show.ts';

const OPTIONS = {
  can: { names: ['can', 'is', 'has'], value: 'required', values: WORDS },
  cannot: { names: ['cannot', 'isnt', 'hasnt'], value: 'required', values: WORDS },
  ...COLOUR_OPTIONS,
  content: { names: ['content'] },
  noContent: { names: ['no-content'] },
  json: { names: ['json'] },
  list: { names: ['L', 'list'] },
  map: { names: ['map'], value: 'optional' },
  size: { names: ['size'] },
  totals: { names: ['total', 'totals'] },
  uri: { names: ['uri'] },
  ...STANDARD,
} as const satisfies Options;

type Key = keyof typeof OPTIONS;

const NO = 2;

run('nbdinfo', async argv => {
  const help = async () => (await import('./help.ts')).HELP;
  const line = await understand({ name: 'nbdinfo', options: OPTIONS, help }, argv);
  if (!line) return 0;
  const { given, words } = line;
  const has = (key: Key) => given.some(option => option.key === key);
  refuseTogether(has, 'list', 'map', 'size', 'uri');
  refuseTogether(has, 'content', 'noContent');
  refuseTogether(has, 'can', 'cannot');
  if (has('totals') && !has('map')) {
    throw new UsageError('--totals needs --map');
  }
  const target = await openTarget(oneEndpoint(words));
  try {
    return await answer(target, given, has);
  } finally {
    await target.close();
  }
});

async function printed(text: string): Promise<number> {
  await print(text);
  return 0;
}

function refuseTogether(has: (key: Key) => boolean, ...keys: Key[]): void {
  const both = keys.filter(has).map(key => `--${OPTIONS[key].names.at(-1)}`);
  if (both.length > 1) throw new UsageError(`${both.join(' and ')} cannot be used together`);
}

async function answer(
  target: Target,
  given: CommandLine<Key>['given'],
  has: (key: Key) => boolean,
): Promise<number> {
  const value = (key: Key) => given.findLast(option => option.key === key)?.value;
  const paint = painter(wantsColour(has));
  const asked = has('can') ? 'can' : has('cannot') ? 'cannot' : undefined;
  if (asked !== undefined) {
    const ask = question(asked, value(asked)!);
    const yes = await withClient(target, [], async client => ask(client));
    return yes === (asked === 'can') ? 0 : NO;
  }
  if (has('uri')) {
    const uri = target.uriOf(target.exportName);
    if (uri === undefined) throw new UsageError('--uri: a server in brackets has no URI');
    return printed(`${uri}\n`);
  }
  if (has('size')) return printed(`${await withClient(target, [], async c => c.size)}\n`);
  if (has('map')) {
    const context = value('map') || BASE_ALLOCATION;
    const show = has('totals') ? showTotals : showMap;
    await withClient(target, [context], client => show(client, context, has('json'), paint));
    return 0;
  }
  let status = 0;
  const warn = (message: string) => {
    process.stderr.write(`nbdinfo: ${oneLine(message)}\n`);
    status = 1;
  };
  const facts = has('list')
    ? await gatherAll(target, has('content'), warn)
    : await gatherOne(target, !has('noContent'));
  await print(has('json') ? showJson(facts) : showText(facts, paint));
  return status;
}

/** Prints as it comes, however long it is. */
async function showMap(
  client: NbdClient,
  context: string,
  json: boolean,
  paint: Painter,
): Promise<void> {
  const map = mapOf(client, context);
  const pieces = json ? mapJson(map, context) : mapText(map, context, paint);
  for await (const piece of pieces) await print(piece);
}

async function showTotals(
  client: NbdClient,
  context: string,
  json: boolean,
  paint: Painter,
): Promise<void> {
  const totals = await totalsOf(mapOf(client, context));
  const { size } = client;
  await print(json ? totalsJson(totals, context, size) : totalsText(totals, context, size, paint));
}
