import { UsageError } from '../../block/errors.ts';
import { sliceDevice } from '../../block/slice.ts';
import { copy } from '../../copy/copy.ts';
import { COMMON, Given, sizeOf } from './common.ts';
import { makeImage } from './making.ts';
import { Opening } from './opening.ts';
import type { Subcommand } from './subcommands.ts';

const OPTIONS = { ...COMMON, outputFormat: { names: ['O'], value: 'required' } } as const;
const BLOCK = 512n;

const dd: Subcommand = {
  options: OPTIONS,
  async run(line) {
    const given = new Given(line);
    const words = wordsOf(given.words);
    const input = words.get('if');
    const output = words.get('of');
    if (input === undefined || output === undefined)
      throw new UsageError('Must specify both input and output file names');
    const block = numberOf(words, 'bs') ?? BLOCK;
    if (block <= 0n || block > 2n ** 31n - 1n) throw new UsageError("invalid number: 'bs'");
    const [count, skip] = [numberOf(words, 'count'), numberOf(words, 'skip') ?? 0n];
    const opening = new Opening(given);
    const source = await opening.open(input, {
      readOnly: true,
      format: given.text('format'),
      options: given.has('imageOpts'),
    });
    try {
      const { device } = source.image;
      const start = smaller(skip * block, device.size);
      const left = device.size - start;
      const length = count === undefined ? left : smaller(count * block, left);
      const format = given.text('outputFormat') ?? 'raw';
      await (await makeImage(opening, { name: output, format, size: length, words: [] })).create();
      const target = await opening.open(output, { format });
      try {
        if (length > 0n)
          await copy(sliceDevice(device, start, length), target.image.device, { flush: true });
      } finally {
        await target.close();
      }
    } finally {
      await source.close();
    }
    return 0;
  },
};
export default dd;

const smaller = (one: bigint, two: bigint) => (one < two ? one : two);

function wordsOf(words: readonly string[]): Map<string, string> {
  const found = new Map<string, string>();
  for (const word of words) {
    const [, key, value] = /^(if|of|bs|count|skip)=(.*)$/s.exec(word) ?? [];
    if (key === undefined) throw new UsageError(`unrecognized operand ${word.replace(/=.*/s, '')}`);
    found.set(key, value!);
  }
  return found;
}

function numberOf(words: Map<string, string>, key: string): bigint | undefined {
  const text = words.get(key);
  if (text === undefined) return undefined;
  const size = sizeOf(text);
  if (size === undefined) throw new UsageError(`invalid number: '${text}'`);
  return size;
}
