import { UsageError } from '../../block/errors.ts';
import { print } from '../cli.ts';
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
  async run(line) {
    const given = new Given(line);
    const texts = given.all('options');
    if (texts.length === 0) throw new UsageError('Must specify options (-o)');
    checkCache(given);
    if (wantsHelp(texts)) {
      const format = await formatFor(given.text('format') ?? 'qcow2');
      await print(optionsHelp(`Amend options for '${format.name}'`, format.amendOptions ?? {}));
      return 0;
    }
    const wanted = { format: given.text('format'), options: given.has('imageOpts') };
    const opening = new Opening(given);
    const { image, close } = await opening.open(given.one, wanted);
    try {
      const format = await formatFor(image.format);
      if (!image.amend) {
        throw new UsageError(`Format driver '${image.format}' does not support option amendment`);
      }
      const secret = (id: string | undefined) => opening.secret(id)();
      const force = given.has('force');
      await image.amend(checkedWords(format, texts.flatMap(splitOptions)), { secret, force });
    } finally {
      await close();
    }
    return 0;
  },
};
export default amend;
