import { contiguous, isZero } from '../../block/data.ts';
import type { BlockDevice } from '../../block/device.ts';
import { allExtents } from '../../block/emulate.ts';
import { messageOf } from '../../block/errors.ts';
import { mismatch } from '../../block/verify.ts';
import { print } from '../cli.ts';
import { COMMON, checkCache, Given, PROGRESS, SOURCE_CACHE, usage } from './common.ts';
import { Opening } from './opening.ts';
import { percentage } from './percentage.ts';
import { warn } from './program.ts';
import type { Subcommand } from './subcommands.ts';

const OPTIONS = {
  ...COMMON,
  ...SOURCE_CACHE,
  ...PROGRESS,
  secondFormat: { names: ['F'], value: 'required' },
  strict: { names: ['s'] },
} as const;

const PIECE = 2 << 20;
const [SAME, DIFFERENT, FAILED] = [0, 1, 2] as const;

const compare: Subcommand = {
  options: OPTIONS,
  async run(line) {
    const given = new Given(line);
    checkCache(given);
    const [first, second, ...more] = given.words;
    if (first === undefined || second === undefined || more.length > 0) {
      throw usage('Expecting two image file names');
    }
    const options = given.has('imageOpts');
    try {
      const opening = new Opening(given);
      const one = await opening.open(first, {
        readOnly: true,
        format: given.text('format'),
        options,
      });
      try {
        const two = await opening.open(second, {
          readOnly: true,
          format: given.text('secondFormat'),
          options,
        });
        try {
          const say = (text: string) => (given.has('quiet') ? undefined : print(`${text}\n`));
          return await compareDisks(one.image.device, two.image.device, given, say);
        } finally {
          await two.close();
        }
      } finally {
        await one.close();
      }
    } catch (error) {
      warn(messageOf(error));
      return FAILED;
    }
  },
};
export default compare;

type Say = (text: string) => Promise<void> | undefined;

/** @returns the exit status. @throws BlockError one of them cannot be read. */
async function compareDisks(
  one: BlockDevice,
  two: BlockDevice,
  given: Given,
  say: Say,
): Promise<number> {
  const strict = given.has('strict');
  const [shorter, longer] = one.size <= two.size ? [one, two] : [two, one];
  if (strict && one.size !== two.size) {
    await say('Strict mode: Image size mismatch!');
    return DIFFERENT;
  }
  const progress = percentage(given.has('progress') && !given.has('quiet'));
  for (let at = 0n; at < shorter.size; ) {
    const left = shorter.size - at;
    const length = left < BigInt(PIECE) ? Number(left) : PIECE;
    if (strict) {
      const differs = await statusDiffers(one, two, at, length);
      if (differs !== undefined) {
        await say(`Strict mode: Offset ${differs} block status mismatch!`);
        return DIFFERENT;
      }
    }
    const differs = mismatch(contiguous(await one.read(at, length)), await two.read(at, length));
    if (differs !== undefined) {
      await say(`Content mismatch at offset ${((at + BigInt(differs)) / 512n) * 512n}!`);
      return DIFFERENT;
    }
    at += BigInt(length);
    progress.show(Number(at) / Number(longer.size));
  }
  if (one.size !== two.size) {
    await say('Warning: Image size mismatch!');
    const at = await firstData(longer, shorter.size);
    if (at !== undefined) {
      await say(`Content mismatch at offset ${at}!`);
      return DIFFERENT;
    }
  }
  progress.end();
  await say('Images are identical.');
  return SAME;
}

/** Where one has data and the other does not say so. */
async function statusDiffers(one: BlockDevice, two: BlockDevice, at: bigint, length: number) {
  const [first, second] = [await allExtents(one, at, length), await allExtents(two, at, length)];
  const states = [first, second].map(runs =>
    runs.flatMap(run => [{ end: run.length, hole: run.hole }]),
  );
  let [i, j, done] = [0, 0, 0];
  let [leftOne, leftTwo] = [states[0]![0]!.end, states[1]![0]!.end];
  while (done < length) {
    if (states[0]![i]!.hole !== states[1]![j]!.hole) return at + BigInt(done);
    const step = Math.min(leftOne, leftTwo);
    done += step;
    leftOne -= step;
    leftTwo -= step;
    if (leftOne === 0) leftOne = states[0]![++i]?.end ?? 0;
    if (leftTwo === 0) leftTwo = states[1]![++j]?.end ?? 0;
  }
  return undefined;
}

/** Where there is something else than zeroes. */
async function firstData(device: BlockDevice, from: bigint): Promise<bigint | undefined> {
  for (let at = from; at < device.size; ) {
    const left = device.size - at;
    const length = left < BigInt(PIECE) ? Number(left) : PIECE;
    let begin = 0;
    for (const run of await allExtents(device, at, length)) {
      if (!run.zero) {
        const bytes = contiguous(await device.read(at + BigInt(begin), run.length));
        if (!isZero(bytes)) {
          const first = bytes.findIndex(byte => byte !== 0);
          return ((at + BigInt(begin + first)) / 512n) * 512n;
        }
      }
      begin += run.length;
    }
    at += BigInt(length);
  }
  return undefined;
}
