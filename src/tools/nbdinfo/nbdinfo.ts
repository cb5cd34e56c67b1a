import { UsageError } from '../../block/errors.ts';
import { BASE_ALLOCATION } from '../../protocol/constants.ts';
import { type CommandLine, type Options, oneLine, print, run } from '../cli.ts';
import { COLOUR_OPTIONS, type Painter, painter, wantsColour } from '../colours.ts';
import { rangeOf } from '../range.ts';
import { STANDARD, understand } from '../standard.ts';
import { oneEndpoint, openTarget, type Target, withClient } from '../target.ts';
import { question, WORDS } from './can.ts';
import { gatherAll, gatherOne } from './facts.ts';
import { type MapWish, showMaps } from './maps.ts';
import { showJson, showText } from './show.ts';

const OPTIONS = {
  can: { names: ['can', 'is', 'has'], value: 'required', values: WORDS },
  cannot: { names: ['cannot', 'isnt', 'hasnt'], value: 'required', values: WORDS },
  ...COLOUR_OPTIONS,
  content: { names: ['content'] },
  noContent: { names: ['no-content'] },
  json: { names: ['json'] },
  length: { names: ['length'], value: 'required' },
  list: { names: ['L', 'list'] },
  map: { names: ['map'], value: 'optional' },
  offset: { names: ['offset'], value: 'required' },
  picture: { names: ['picture'], value: 'optional', values: 'file' },
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
  refuseTogether(has, 'picture', 'totals');
  refuseTogether(has, 'picture', 'json');
  for (const key of ['totals', 'picture', 'offset', 'length'] as const) {
    if (has(key) && !has('map')) throw new UsageError(`--${key} needs --map`);
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
    const ask = question(value(asked)!);
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
    await showMaps(target, mapWish(given, has, paint));
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

function mapWish(
  given: CommandLine<Key>['given'],
  has: (key: Key) => boolean,
  paint: Painter,
): MapWish {
  const contexts = given
    .filter(({ key }) => key === 'map')
    .map(({ value }) => value || BASE_ALLOCATION);
  const picture = given.findLast(({ key }) => key === 'picture');
  return {
    contexts: [...new Set(contexts)],
    range: rangeOf(given),
    json: has('json'),
    totals: has('totals'),
    picture: picture && { file: picture.value },
    paint,
  };
}
