import { contiguous, zeroes } from '../../block/data.ts';
import type { BlockDevice, Data } from '../../block/device.ts';
import { BlockError, errnoOf, messageOf, UsageError } from '../../block/errors.ts';
import { mismatch } from '../../block/verify.ts';
import { formatNames } from '../../formats/formats.ts';
import type { Image } from '../../images/image.ts';
import { CACHE, COMMON, checkCache, Given, PROGRESS, SOURCE_CACHE } from './common.ts';
import { fullName, type Opened, Opening } from './opening.ts';
import { percentage } from './percentage.ts';
import type { Subcommand } from './subcommands.ts';

const OPTIONS = {
  ...COMMON,
  ...CACHE,
  ...SOURCE_CACHE,
  ...PROGRESS,
  backing: { names: ['b'], value: 'required' },
  backingFormat: { names: ['F'], value: 'required' },
  unsafe: { names: ['u'] },
} as const;

const PIECE = 1 << 20;
/** What qemu takes for a format that is none. */
const PROTOCOLS = ['file', 'host_device', 'nbd', 'http', 'https', 'ssh'];

const rebase: Subcommand = {
  options: OPTIONS,
  async run(line) {
    const given = new Given(line);
    checkCache(given);
    const { one } = given;
    const backing = given.text('backing');
    const format = given.text('backingFormat');
    if (backing === undefined && !given.has('unsafe')) {
      throw new UsageError('Use backing file (-b) option to specify the backing file');
    }
    if (format !== undefined && ![...formatNames, ...PROTOCOLS].includes(format)) {
      throw new UsageError(`Invalid format name: '${format}'`);
    }
    const opening = new Opening(given);
    const wanted = {
      format: given.text('format'),
      alone: given.has('unsafe'),
      options: given.has('imageOpts'),
    };
    const { image, close } = await opening.open(one, wanted);
    try {
      if (!image.setBacking)
        throw new BlockError(
          'ENOTSUP',
          `Could not change the backing file to '${backing ?? ''}': Operation not supported`,
        );
      if (!given.has('unsafe')) await keepContent(opening, image, one, given);
      const name = backing === '' ? undefined : backing;
      await changeBacking(image, name, format);
    } finally {
      await close();
    }
    return 0;
  },
};
export default rebase;

async function changeBacking(
  image: Image,
  name: string | undefined,
  format: string | undefined,
): Promise<void> {
  if (name !== undefined && format === undefined) {
    throw new BlockError(
      'EINVAL',
      `Could not change the backing file to '${name}': backing format must be specified`,
    );
  }
  try {
    await image.setBacking!(name, format);
  } catch (error) {
    throw new BlockError(
      errnoOf(error),
      `Could not change the backing file to '${name}': ${messageOf(error)}`,
      { cause: error },
    );
  }
}

/** Copies into the image what the new backing file would show differently. */
async function keepContent(
  opening: Opening,
  image: Image,
  one: string,
  given: Given,
): Promise<void> {
  const name = given.text('backing')!;
  let next: Opened | undefined;
  if (name !== '') {
    try {
      next = await opening.open(fullName(name, one), {
        readOnly: true,
        format: given.text('backingFormat'),
      });
    } catch (error) {
      throw new BlockError(
        errnoOf(error),
        `Could not open new backing file '${name}': ${messageOf(error)}`,
        { cause: error },
      );
    }
  }
  const progress = percentage(given.has('progress') && !given.has('quiet'));
  try {
    const { device } = image;
    for (let at = 0n; at < device.size; ) {
      const left = device.size - at < BigInt(PIECE) ? Number(device.size - at) : PIECE;
      const run = await image.find!(at, left);
      if (run.kind === 'absent') await keepRange(device, next?.image.device, at, run.length);
      at += BigInt(run.length);
      progress.show(Number(at) / Number(device.size));
    }
    await device.flush?.();
    progress.end();
  } finally {
    await next?.close();
  }
}

/** Of what shows through, whatever the new backing file has not. */
async function keepRange(
  device: BlockDevice,
  next: BlockDevice | undefined,
  at: bigint,
  length: number,
) {
  const before = contiguous(await device.read(at, length));
  const after = contiguous(await readPast(next, at, length));
  const block = 65536;
  for (let done = 0; done < length; done += block) {
    const part = before.subarray(done, done + block);
    const differs = mismatch(part, after.subarray(done, done + block)) !== undefined;
    if (differs) await device.write!(at + BigInt(done), part);
  }
}

async function readPast(
  device: BlockDevice | undefined,
  at: bigint,
  length: number,
): Promise<Data> {
  const left = (device?.size ?? 0n) - at;
  if (!device || left <= 0n) return zeroes(length);
  const there = left < BigInt(length) ? Number(left) : length;
  return Buffer.concat([contiguous(await device.read(at, there))], length);
}
