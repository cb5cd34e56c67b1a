import { BlockError, UsageError } from '../../block/errors.ts';
import { print } from '../cli.ts';
import { COMMON, Given, neededSize, usage } from './common.ts';
import { Opening } from './opening.ts';
import { warn } from './program.ts';
import type { Subcommand } from './subcommands.ts';

const OPTIONS = {
  ...COMMON,
  shrink: { names: ['shrink'] },
  preallocation: { names: ['preallocation'], value: 'required' },
} as const;

const resize: Subcommand = {
  options: OPTIONS,
  async run(line) {
    const { given, size: text } = takeSize(line);
    const { one } = given;
    const relative = text[0] === '+' || text[0] === '-';
    const change = neededSize(relative ? text.slice(1) : text, 'image size');
    const { image, close } = await new Opening(given).open(one, {
      format: given.text('format'),
      options: given.has('imageOpts'),
    });
    try {
      const { device } = image;
      const before = device.size;
      const wanted = text[0] === '+' ? before + change : text[0] === '-' ? before - change : change;
      if (wanted <= 0n) throw new UsageError('New image size must be positive');
      const size = ((wanted + 511n) / 512n) * 512n;
      if (size < before && !given.has('shrink')) {
        warn('Use the --shrink option to perform a shrink operation.');
        warn(
          "warning: Shrinking an image will delete all data beyond the shrunken image's end. Before performing such an operation, make sure there is no important data there.",
        );
        return 1;
      }
      if (!device.resize)
        throw new BlockError('ENOTSUP', 'Image format driver does not support resize');
      await device.resize(size);
      await device.flush?.();
    } finally {
      await close();
    }
    if (!given.has('quiet')) await print('Image resized.\n');
    return 0;
  },
};
export default resize;

/** The size is the last word, which may begin with a minus. */
function takeSize(line: ConstructorParameters<typeof Given>[0]) {
  const size = line.words.at(-1);
  if (size === undefined || line.words.length < 2) throw usage('Not enough arguments');
  return { given: new Given({ ...line, words: line.words.slice(0, -1) }), size };
}
