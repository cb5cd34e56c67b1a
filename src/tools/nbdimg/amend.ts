import { UsageError } from '../../block/errors.ts';
import { CACHE, COMMON, checkCache, Given, PROGRESS } from './common.ts';
import { checkedWords, formatFor } from './making.ts';
import { Opening } from './opening.ts';
import { optionsHelp, splitOptions, wantsHelp } from './option-text.ts';
import type { Subcommand } from './subcommands.ts';

const OPTIONS = {
  ...COMMON,
  ...CACHE,
  ...PROGRESS,
  force: { names: ['force'] },
  options: { names: ['o'], value: 'required' },
} as const;

const amend: Subcommand = {
  options: OPTIONS,
  async run(line, { print }) {
    const given = new Given(line);
    const texts = given.all('options');
    if (texts.length === 0) throw new UsageError('Must specify options (-o)');
    checkCache(given);
    if (wantsHelp(texts)) {
      const format = await formatFor(given.text('format') ?? 'qcow2');
      const { amendable = [], options = {} } = format;
      const some = Object.entries(options).filter(([key]) => amendable.includes(key));
      await print(optionsHelp(`${format.name} amend`, Object.fromEntries(some)));
      return 0;
    }
    const wanted = { format: given.text('format'), options: given.has('imageOpts') };
    const { image, close } = await new Opening(given).open(given.one, wanted);
    try {
      const format = await formatFor(image.format);
      if (!image.amend) {
        throw new UsageError(`Format driver '${image.format}' does not support option amendment`);
      }
      await image.amend(checkedWords(format, texts.flatMap(splitOptions)));
    } finally {
      await close();
    }
    return 0;
  },
};
export default amend;
