import { BlockError, errnoOf, UsageError } from '../../block/errors.ts';
import type { Disk } from '../../handle/disk.ts';
import { type Attached, attach, recover } from '../../ublk/attach.ts';
import type { UblkControl } from '../../ublk/control.ts';
import { oneLine, print } from '../cli.ts';
import { openFrom } from '../connecting.ts';
import type { Origin } from '../origins.ts';
import { aborted } from '../until-signal.ts';
import type { Settings } from './options.ts';

const LOST: ReadonlySet<string> = new Set(['ECONNRESET', 'ESHUTDOWN']);

/**
 * Provides the device until somebody deletes it or `ending` is aborted, and makes durable what was
 * written to it.
 * @param id undefined: any, whose name is printed.
 * @throws UsageError; BlockError the disk cannot be opened or attached, or its server is lost.
 */
export async function provide(
  control: UblkControl,
  origin: Origin,
  id: number | undefined,
  settings: Settings,
  ending: AbortController,
): Promise<void> {
  const { connecting, readOnly } = settings;
  const disk = await openFrom(origin, { ...connecting, readOnly, signal: ending.signal });
  let lost: BlockError | undefined;
  const onError = (error: unknown) => {
    tell(oneLine(error));
    if (lost || origin.kind === 'local' || !LOST.has(errnoOf(error))) return;
    lost = new BlockError('ECONNRESET', `${origin.name}: the server is gone, and so is the disk`);
    ending.abort();
  };
  try {
    const attached = await attachAs(control, disk, id, settings, onError);
    const name = `/dev/ublkb${attached.id}`;
    if (id === undefined) await print(`${name}\n`);
    if (settings.verbose) tell(`${name}: ${disk.size} bytes`);
    await Promise.race([attached.ended, aborted(ending.signal)]);
    await attached.detach();
    if (lost) throw lost;
    if (disk.can.write) await disk.device.flush?.();
  } finally {
    await disk.close();
  }
}

function attachAs(
  control: UblkControl,
  { device, connections }: Disk,
  id: number | undefined,
  settings: Settings,
  onError: (error: unknown) => void,
): Promise<Attached> {
  const { recoverable } = settings;
  if (!settings.recover)
    return attach(control, device, { id, queues: connections.length, recoverable, onError });
  if (id === undefined) throw new UsageError('--recover: expected the number of a device');
  return recover(control, device, id, onError);
}

function tell(words: string): void {
  process.stderr.write(`nbdublk: ${words}\n`);
}
