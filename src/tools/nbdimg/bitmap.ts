import { BlockError, errnoOf, messageOf, UsageError } from '../../block/errors.ts';
import type { Bitmaps } from '../../images/image.ts';
import type { CommandLine } from '../cli.ts';
import { COMMON, Given, neededSize, usage } from './common.ts';
import { Opening } from './opening.ts';
import type { Subcommand } from './subcommands.ts';

const ACTIONS = {
  add: { names: ['add'] },
  remove: { names: ['remove'] },
  clear: { names: ['clear'] },
  enable: { names: ['enable'] },
  disable: { names: ['disable'] },
  merge: { names: ['merge'], value: 'required' },
} as const;

const OPTIONS = {
  ...COMMON,
  ...ACTIONS,
  source: { names: ['b', 'source-file'], value: 'required' },
  sourceFormat: { names: ['F', 'source-format'], value: 'required' },
  granularity: { names: ['g', 'granularity'], value: 'required' },
} as const;

type Action = keyof typeof ACTIONS;

const bitmap: Subcommand = {
  options: OPTIONS,
  async run(line) {
    const given = new Given(line);
    const [name, which, ...more] = given.words;
    if (name === undefined || which === undefined || more.length > 0) {
      throw usage('Expecting filename and bitmap name');
    }
    const actions = line.given.filter(({ key }) => Object.hasOwn(ACTIONS, key));
    if (actions.length === 0) {
      throw usage('Need at least one of --add, --remove, --clear, --enable, --disable, or --merge');
    }
    const granularity = given.text('granularity');
    if (granularity !== undefined && !given.has('add'))
      throw new UsageError('granularity only supported with --add');
    if (given.has('source') && !given.has('merge'))
      throw new UsageError('Merge bitmap source file only supported with --merge');
    const opening = new Opening(given);
    const wanted = { format: given.text('format'), options: given.has('imageOpts') };
    const { image, close } = await opening.open(name, wanted);
    try {
      const { bitmaps } = image;
      if (!bitmaps)
        throw new UsageError(`Format driver '${image.format}' does not support persistent bitmaps`);
      for (const action of actions) await act({ bitmaps, opening, given }, which, action);
      await bitmaps.save();
    } finally {
      await close();
    }
    return 0;
  },
};
export default bitmap;

interface World {
  readonly bitmaps: Bitmaps;
  readonly opening: Opening;
  readonly given: Given;
}

async function act(
  world: World,
  name: string,
  { key, value }: CommandLine<string>['given'][number],
) {
  try {
    await perform(world, name, key as Action, value);
  } catch (error) {
    const words = `Operation ${key} on bitmap ${name} failed: ${messageOf(error)}`;
    throw new BlockError(errnoOf(error), words, { cause: error });
  }
}

async function perform(
  { bitmaps, opening, given }: World,
  name: string,
  action: Action,
  value?: string,
) {
  switch (action) {
    case 'add': {
      const granularity = given.text('granularity');
      const bytes =
        granularity === undefined ? undefined : Number(neededSize(granularity, 'granularity'));
      return bitmaps.add(name, bytes, !given.has('disable'));
    }
    case 'merge':
      return merge(bitmaps, opening, given, name, value!);
    case 'enable':
    case 'disable':
      return bitmaps.enable(name, action === 'enable');
    default:
      return bitmaps[action](name);
  }
}

async function merge(
  bitmaps: Bitmaps,
  opening: Opening,
  given: Given,
  name: string,
  source: string,
) {
  const file = given.text('source');
  if (file === undefined) return bitmaps.merge(name, await bitmaps.bits(source));
  const other = await opening.open(file, { readOnly: true, format: given.text('sourceFormat') });
  try {
    if (!other.image.bitmaps) throw new UsageError('the source file has no bitmaps');
    await bitmaps.merge(name, await other.image.bitmaps.bits(source));
  } finally {
    await other.close();
  }
}
