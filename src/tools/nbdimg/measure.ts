import type { BlockDevice } from '../../block/device.ts';
import { allExtents } from '../../block/emulate.ts';
import { UsageError } from '../../block/errors.ts';
import type { MeasuredDisk } from '../../images/image.ts';
import { print } from '../cli.ts';
import { COMMON, Given, neededSize, OUTPUT } from './common.ts';
import { formatFor, valuesOf } from './making.ts';
import { Opening } from './opening.ts';
import { splitOptions } from './option-text.ts';
import type { Subcommand } from './subcommands.ts';

const OPTIONS = {
  ...COMMON,
  ...OUTPUT,
  outputFormat: { names: ['O'], value: 'required' },
  options: { names: ['o'], value: 'required' },
  size: { names: ['size'], value: 'required' },
  snapshot: { names: ['l'], value: 'required' },
} as const;

const measure: Subcommand = {
  options: OPTIONS,
  async run(line) {
    const given = new Given(line);
    const { json } = given;
    const output = given.text('outputFormat') ?? 'raw';
    const format = await formatFor(output);
    const size = given.text('size');
    if (size !== undefined && given.words.length > 0) {
      throw new UsageError('--size N cannot be used together with a filename');
    }
    if (size === undefined && given.words.length !== 1) {
      throw new UsageError('Either --size N or one filename must be specified');
    }
    if (!format.measure)
      throw new UsageError(`Block driver '${output}' does not support size measurement`);
    const options = valuesOf(format, given.all('options').flatMap(splitOptions));
    const measured =
      size === undefined
        ? await ofImage(given, disk => format.measure!(disk, options as never))
        : await format.measure(
            { size: neededSize(size, 'image size'), used: async () => 0n },
            options as never,
          );
    const { required, full, bitmaps } = measured;
    const asJson = {
      ...(bitmaps !== undefined && { bitmaps: Number(bitmaps) }),
      required: Number(required),
      'fully-allocated': Number(full),
    };
    const text = `required size: ${required}\nfully allocated size: ${full}\n`;
    const more = bitmaps === undefined ? '' : `bitmaps size: ${bitmaps}\n`;
    await print(json ? `${JSON.stringify(asJson, null, 4)}\n` : text + more);
    return 0;
  },
};
export default measure;

async function ofImage<T>(given: Given, act: (disk: MeasuredDisk) => Promise<T>): Promise<T> {
  const wanted = {
    readOnly: true,
    format: given.text('format'),
    snapshot: given.text('snapshot'),
    options: given.has('imageOpts'),
  };
  const { image, close } = await new Opening(given).open(given.one, wanted);
  const { device, bitmaps } = image;
  try {
    return await act({
      size: device.size,
      used: unit => usedUnits(device, BigInt(unit)),
      bitmaps: bitmaps?.list(),
    });
  } finally {
    await close();
  }
}

/** How many units of a disk have data. */
async function usedUnits(device: BlockDevice, unit: bigint): Promise<bigint> {
  let used = 0n;
  let counted = 0n;
  for (let at = 0n; at < device.size; ) {
    const left = device.size - at;
    const runs = await allExtents(device, at, left < 2n ** 36n ? Number(left) : 2 ** 36);
    for (const { length, zero } of runs) {
      const end = at + BigInt(length);
      if (!zero) {
        const first = at / unit < counted ? counted : at / unit;
        const last = (end + unit - 1n) / unit;
        if (last > first) used += last - first;
        counted = last > counted ? last : counted;
      }
      at = end;
    }
  }
  return used;
}
