import { BlockError, errnoOf, messageOf, UsageError } from '../../block/errors.ts';
import { print } from '../cli.ts';
import { COMMON, Given, neededSize } from './common.ts';
import { formatFor, makeImage } from './making.ts';
import { Opening } from './opening.ts';
import { createHelp, splitOptions, wantsHelp } from './option-text.ts';
import type { Subcommand } from './subcommands.ts';

const OPTIONS = {
  ...COMMON,
  backing: { names: ['b'], value: 'required' },
  backingFormat: { names: ['F'], value: 'required' },
  unsafe: { names: ['u'] },
  options: { names: ['o'], value: 'required' },
} as const;

const create: Subcommand = {
  options: OPTIONS,
  async run(line) {
    const given = new Given(line);
    const format = given.text('format') ?? 'raw';
    const [name, size, ...more] = given.words;
    const texts = given.all('options');
    if (wantsHelp(texts)) {
      await print(createHelp(format, (await formatFor(format)).options));
      return 0;
    }
    if (name === undefined) throw new UsageError('Expecting image file name');
    if (more.length > 0) throw new UsageError(`Unexpected argument: ${more[0]}`);
    const bytes = size === undefined ? undefined : neededSize(size, 'image size');
    const words = texts.flatMap(splitOptions);
    for (const key of ['backing', 'backingFormat'] as const) {
      const value = given.text(key);
      const option = key === 'backing' ? 'backing_file' : 'backing_fmt';
      if (value !== undefined) words.push({ key: option, value });
    }
    const wish = { name, format, size: bytes, words, unsafe: given.has('unsafe') };
    const made = await namedImage(name, () => makeImage(new Opening(given), wish));
    if (!given.has('quiet')) await print(`${made.formatting}\n`);
    await namedImage(name, made.create);
    return 0;
  },
};
export default create;

/** Acts, and puts the name of the image before what is wrong with it. */
async function namedImage<T>(name: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    const words = `${name}: ${messageOf(error)}`;
    if (error instanceof UsageError) throw new UsageError(words, error.excerpt);
    throw new BlockError(errnoOf(error), words, { cause: error });
  }
}
