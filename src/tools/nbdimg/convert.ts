import { closeAll } from '../../block/close-all.ts';
import type { BlockDevice } from '../../block/device.ts';
import { BlockError, errnoOf, messageOf, UsageError } from '../../block/errors.ts';
import { joinDevices } from '../../block/join.ts';
import { PASS, wrapDevice } from '../../block/wrap.ts';
import { copy } from '../../copy/copy.ts';
import type { RawParameter } from '../../declare/parameters.ts';
import type { Image } from '../../images/image.ts';
import { print } from '../cli.ts';
import { CACHE, COMMON, checkCache, Given, PROGRESS, SOURCE_CACHE, sizeOf } from './common.ts';
import { copyAbove } from './copy-above.ts';
import { formatFor, makeImage } from './making.ts';
import { type Opened, Opening } from './opening.ts';
import { createHelp, splitOptions, wantsHelp } from './option-text.ts';
import { percentage } from './percentage.ts';
import type { Subcommand } from './subcommands.ts';

const OPTIONS = {
  ...COMMON,
  ...CACHE,
  ...SOURCE_CACHE,
  ...PROGRESS,
  outputFormat: { names: ['O'], value: 'required' },
  backing: { names: ['B'], value: 'required' },
  backingFormat: { names: ['F'], value: 'required' },
  compressed: { names: ['c'] },
  options: { names: ['o'], value: 'required' },
  snapshot: { names: ['l'], value: 'required' },
  sparse: { names: ['S'], value: 'required' },
  noCreate: { names: ['n'] },
  coroutines: { names: ['m'], value: 'required' },
  outOfOrder: { names: ['W'] },
  rate: { names: ['r'], value: 'required' },
  offload: { names: ['C'] },
  targetIsZero: { names: ['target-is-zero'] },
  targetImageOpts: { names: ['target-image-opts'] },
  salvage: { names: ['salvage'] },
} as const;

/** Requests of the copy: one for each processor and some to wait. */
const REQUESTS = 16;
const REQUEST = 2 << 20;
const SPARSE = 4096;

const convert: Subcommand = {
  options: OPTIONS,
  async run(line) {
    const given = new Given(line);
    const output = given.text('outputFormat') ?? 'raw';
    if (wantsHelp(given.all('options'))) {
      await print(createHelp(output, (await formatFor(output)).options));
      return 0;
    }
    checkCache(given);
    checkTogether(given);
    const names = given.words.slice(0, -1);
    const target = given.words.at(-1);
    if (target === undefined || names.length === 0)
      throw new UsageError('Must specify image file name');
    const opening = new Opening(given);
    const sources = await openAll(opening, names, given);
    try {
      await convertTo(opening, sources, target, output, given);
    } finally {
      await closeAll(sources.map(({ image }) => image.device));
    }
    return 0;
  },
};
export default convert;

function checkTogether(given: Given): void {
  const compressed = given.has('compressed');
  if (given.has('targetIsZero') && !given.has('noCreate')) {
    throw new UsageError('--target-is-zero requires use of -n flag');
  }
  if (given.has('targetImageOpts') && !given.has('noCreate')) {
    throw new UsageError('--target-image-opts requires use of -n flag');
  }
  if (given.has('noCreate') && given.has('options')) {
    throw new UsageError('-o has no effect when skipping image creation');
  }
  if (given.has('offload') && compressed) {
    throw new UsageError('Cannot enable copy offloading when -c is used');
  }
  if (given.has('offload') && given.has('sparse')) {
    throw new UsageError('Cannot enable copy offloading when -S is used');
  }
  const sparse = given.text('sparse');
  if (sparse !== undefined && sizeOf(sparse) === undefined) {
    throw new UsageError(
      'Invalid buffer size for sparse output specified. Valid sizes are multiples of 512 up to 2147483136. Select 0 to disable sparse detection (fully allocates output).',
    );
  }
}

async function openAll(
  opening: Opening,
  names: readonly string[],
  given: Given,
): Promise<Opened[]> {
  const snapshot = snapshotOf(given.text('snapshot'));
  const opened: Opened[] = [];
  try {
    for (const name of names) {
      const wanted = {
        readOnly: true,
        format: given.text('format'),
        snapshot,
        options: given.has('imageOpts'),
      };
      opened.push(await opening.open(name, wanted));
    }
    return opened;
  } catch (error) {
    await closeAll(opened.map(({ image }) => image.device));
    throw error;
  }
}

/** `snapshot.id=...` or `snapshot.name=...`, or one of the two alone. */
function snapshotOf(text: string | undefined): string | undefined {
  return text?.replace(/^snapshot\.(id|name)=/, '');
}

async function convertTo(
  opening: Opening,
  sources: readonly Opened[],
  name: string,
  format: string,
  given: Given,
) {
  const source =
    sources.length === 1
      ? sources[0]!.image.device
      : joinDevices(sources.map(({ image }) => image.device));
  const backing =
    given.text('backing') ??
    splitOptions(given.all('options').join(',')).find(({ key }) => key === 'backing_file')?.value;
  if (backing !== undefined && sources.length > 1) {
    throw new UsageError(
      'Having a backing file for the target makes no sense when concatenating multiple input images',
    );
  }
  if (!given.has('noCreate')) await createTarget(opening, name, format, source.size, given);
  const chosen = splitOptions(given.all('options').join(','));
  const target = await opening.open(name, {
    keySecret: chosen.find(({ key }) => key?.endsWith('key-secret'))?.value,
    format: given.has('targetImageOpts') ? undefined : format,
    options: given.has('targetImageOpts'),
  });
  try {
    const to = targetDevice(target.image, given);
    if (to.size < source.size && given.has('noCreate')) {
      throw new BlockError('ENOSPC', 'Output file is smaller than input file');
    }
    const progress = percentage(given.has('progress') && !given.has('quiet'));
    let done = 0;
    const advance = (bytes: number) => {
      done += bytes;
      progress.show(done / Number(source.size || 1n));
    };
    if (backing !== undefined && !given.has('noCreate') && !isFull(given)) {
      await copyAbove(sources[0]!.image, to, advance);
    } else {
      const isBlank = isZeroWhenNew(target.image, format, chosen);
      await copyAll(source, to, { given, isBlank }, advance);
    }
    await target.image.device.flush?.();
    progress.end();
  } catch (error) {
    throw new BlockError(errnoOf(error), `error while converting: ${messageOf(error)}`, {
      cause: error,
    });
  } finally {
    await target.close();
  }
}

/**
 * Whether nothing need be written where there are zeroes: room that is encrypted reads as anything, and
 * so does a disk that is what it lies on, a block device or that of a server.
 */
function isZeroWhenNew(
  { facts, find, device }: Image,
  format: string,
  options: readonly RawParameter[],
): boolean {
  if (format === 'raw' && !device.resize) return false;
  const { value = 'off' } = options.find(({ key }) => key === 'preallocation') ?? {};
  return !facts.encrypted || (find !== undefined && value === 'off');
}

/** All is to be allocated. */
const isFull = (given: Given) => sizeOf(given.text('sparse') ?? '4k') === 0n;

async function copyAll(
  from: BlockDevice,
  to: BlockDevice,
  { given, isBlank }: { readonly given: Given; readonly isBlank: boolean },
  advance: (bytes: number) => void,
) {
  const sparse = given.text('sparse');
  const block = sparse === undefined ? SPARSE : Number(sizeOf(sparse));
  const minimum = to.blockSize?.advisory ? 0 : (to.blockSize?.minimum ?? 0);
  const cluster = to.blockSize?.preferred ?? 1;
  const isNew = (isBlank && !given.has('noCreate')) || given.has('targetIsZero');
  // Zeroes take space only where they are written.
  const target = block === 0 ? wrapDevice(to, { ...PASS, zero: undefined }) : to;
  await copy(from, target, {
    requests: REQUESTS,
    requestSize: Math.max(REQUEST, minimum),
    sparse: sparseBlock(block, minimum, given.has('compressed')),
    allocated: block === 0,
    destinationIsZero: isNew && block !== 0,
    inOrder: !given.has('outOfOrder'),
    // No two requests are in one cluster: none waits for another's, and those behind get room first.
    granularity: 2 ** Math.floor(Math.log2(Math.min(REQUEST, cluster))),
    progress: advance,
  });
}

/** In what blocks zeroes are looked for; what is compressed is whole clusters, whatever was said. */
function sparseBlock(wanted: number, minimum: number, compressed: boolean): number {
  if (wanted === 0) return 0;
  return compressed
    ? minimum
    : Math.max(2 ** Math.floor(Math.log2(Math.max(512, wanted))), minimum);
}

function targetDevice(image: Image, given: Given): BlockDevice {
  if (!given.has('compressed')) return image.device;
  if (image.compressed) return image.compressed;
  throw new UsageError('Compression not supported for this file format');
}

async function createTarget(
  opening: Opening,
  name: string,
  format: string,
  size: bigint,
  given: Given,
) {
  const words = given.all('options').flatMap(splitOptions);
  const backing = given.text('backing');
  const backingFormat = given.text('backingFormat');
  if (backing !== undefined) words.push({ key: 'backing_file', value: backing });
  if (backingFormat !== undefined) words.push({ key: 'backing_fmt', value: backingFormat });
  const has = (key: string) => words.some(word => word.key === key);
  if (has('backing_file') && !has('backing_fmt')) {
    throw new UsageError('Use of backing file requires explicit backing format');
  }
  try {
    await (await makeImage(opening, { name, format, size, words })).create();
  } catch (error) {
    if (error instanceof UsageError)
      throw new UsageError(`${name}: ${error.message}`, error.excerpt);
    throw new BlockError(
      errnoOf(error),
      `${name}: error while converting ${format}: ${messageOf(error)}`,
      { cause: error },
    );
  }
}
