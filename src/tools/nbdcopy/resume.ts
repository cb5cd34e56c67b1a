import type { BlockDevice } from '../../block/device.ts';
import { naming, UsageError } from '../../block/errors.ts';
import type { CopyOptions } from '../../copy/copy.ts';
import type { Reached } from '../../copy/journal.ts';
import type { End } from './endpoints.ts';
import type { Settings } from './options.ts';

/** A copy begins at a multiple of so many bytes, the largest block that servers insist on. */
const LARGEST_BLOCK = 64n << 10n;

/**
 * How far the copy came that is to go on; undefined when it begins. To be asked before the
 * destination is opened, which may empty it.
 * @throws UsageError it is another copy, or one that cannot go on; BlockError.
 */
export async function reachedBefore(
  { resume, blkhash }: Settings,
  source: End,
): Promise<Reached | undefined> {
  if (resume === undefined) return undefined;
  const { readJournal } = await import('../../copy/journal.ts');
  return naming('--resume', () => {
    if (blkhash) throw new UsageError('--blkhash wants to see all of the copy, also its beginning');
    const { size } = deviceOf(source);
    const reached = readJournal(resume);
    if (reached) checkSize('source', source, size, reached.sourceSize);
    return reached;
  });
}

/**
 * Copies by `act`, with a journal if there is to be one, which ends with the copy.
 * @throws UsageError the destination is another one.
 */
export async function resumed(
  { resume }: Settings,
  ends: { readonly source: End; readonly destination: End; readonly reached: Reached | undefined },
  act: (options: CopyOptions) => Promise<void>,
): Promise<void> {
  if (resume === undefined) return act({});
  const { source, destination, reached } = ends;
  const [from, to] = naming('--resume', () => [deviceOf(source), deviceOf(destination)]);
  if (reached) {
    naming('--resume', () =>
      checkSize('destination', destination, to.size, reached.destinationSize),
    );
  }
  const { Journal } = await import('../../copy/journal.ts');
  const done = reached?.done ?? 0n;
  const start = done - (done % LARGEST_BLOCK);
  const journal = new Journal(resume, from, to, { start });
  // Behind the start lies what was copied since the last entry.
  await act({ observer: journal, start, ...(reached && { destinationIsZero: false }) });
  await journal.complete();
}

function deviceOf(end: End): BlockDevice {
  if (end.kind === 'device' && !end.lost) return end.device;
  const right = 'expected a file, a device or a server';
  throw new UsageError(`${end.name} cannot go on from its middle: ${right}`);
}

function checkSize(what: string, { name }: End, size: bigint, before: bigint): void {
  if (size === before) return;
  throw new UsageError(`the ${what} ${name} has ${size} bytes, and had ${before} before`);
}
