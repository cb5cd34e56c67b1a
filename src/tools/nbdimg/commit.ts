import { BlockError, UsageError } from '../../block/errors.ts';
import type { Image } from '../../images/image.ts';
import { print } from '../cli.ts';
import { CACHE, COMMON, checkCache, Given, PROGRESS } from './common.ts';
import { copyAbove } from './copy-above.ts';
import { fullName, Opening } from './opening.ts';
import { percentage } from './percentage.ts';
import type { Subcommand } from './subcommands.ts';

const OPTIONS = {
  ...COMMON,
  ...CACHE,
  ...PROGRESS,
  base: { names: ['b'], value: 'required' },
  keep: { names: ['d'] },
  rate: { names: ['r'], value: 'required' },
} as const;

const commit: Subcommand = {
  options: OPTIONS,
  async run(line) {
    const given = new Given(line);
    checkCache(given);
    const { one } = given;
    const opening = new Opening(given);
    const top = await opening.open(one, {
      format: given.text('format'),
      options: given.has('imageOpts'),
    });
    try {
      const { image } = top;
      const { name, format, layers } = baseOf(image, one, given.text('base'));
      const base = await opening.open(name, { format });
      try {
        const { device } = base.image;
        if (device.size < image.device.size) {
          if (!device.resize)
            throw new BlockError(
              'ENOSPC',
              'the backing file is too small, and cannot be made larger',
            );
          await device.resize(image.device.size);
        }
        const progress = percentage(given.has('progress') && !given.has('quiet'));
        let done = 0;
        await copyAbove(
          image,
          device,
          bytes => {
            done += bytes;
            progress.show(done / Number(image.device.size));
          },
          layers,
        );
        await device.flush?.();
        progress.end();
      } finally {
        await base.close();
      }
      // What lies between would show through again.
      if (!given.has('keep') && given.text('base') === undefined) await image.empty?.();
    } finally {
      await top.close();
    }
    if (!given.has('quiet')) await print('Image committed.\n');
    return 0;
  },
};
export default commit;

/** The file that is written to, and how many images lie over it. @throws UsageError */
function baseOf(image: Image, one: string, wanted: string | undefined) {
  let name = one;
  let layers = 0;
  for (let layer: Image | undefined = image; layer?.facts.backing; layer = layer.backing) {
    const { backing } = layer.facts;
    name = fullName(backing.name, name);
    layers += 1;
    const found = wanted === undefined || wanted === backing.name || wanted === name;
    if (found) return { name, format: backing.format ?? layer.backing?.format, layers };
  }
  if (wanted === undefined) throw new UsageError('Image does not have a backing file');
  throw new UsageError(`Did not find '${wanted}' in the backing chain of '${one}'`);
}
