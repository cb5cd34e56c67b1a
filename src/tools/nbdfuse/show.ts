/** Disks in the file system, from the mount to its end. */
import { closeAll } from '../../block/close-all.ts';
import { BlockError, errnoOf } from '../../block/errors.ts';
import type { FileDisk } from '../../fuse/disk-file.ts';
import { FuseLoop, type Lender } from '../../fuse/loop.ts';
import { type FuseOptions, FuseSession } from '../../fuse/session.ts';
import { type FuseMount, mountFuse, readAhead } from '../../posix/fuse-mount.ts';
import { oneLine } from '../cli.ts';
import type { Origin } from '../origins.ts';
import { removePidFile, writePidFile } from '../pid-file.ts';
import { aborted } from '../until-signal.ts';
import { openDisks } from './disks.ts';
import type { MountPoint } from './mount-point.ts';
import type { Settings } from './options.ts';

/** Requests under way at once; each has 1 MiB at most. */
const MOST = 128;
/** What the kernel reads ahead where it may be told, in bytes. */
const READ_AHEAD = 1 << 20;
const LOST: ReadonlySet<string> = new Set(['ECONNRESET', 'ESHUTDOWN']);

/**
 * Shows the disks until they are unmounted or `ending` is aborted, and makes durable what was
 * written to them.
 * @throws UsageError; BlockError a disk cannot be opened or mounted, or its server is lost; the
 *   reason of `ending` before they are shown.
 */
export async function show(
  origin: Origin,
  point: MountPoint,
  settings: Settings,
  lender: Lender,
  ending: AbortController,
): Promise<void> {
  const disks = await openDisks(origin, point, settings, ending.signal);
  let lost: BlockError | undefined;
  const onError = (error: unknown, file: string) => {
    tell(`${file}: ${oneLine(error)}`);
    if (lost || origin.kind === 'local' || !LOST.has(errnoOf(error))) return;
    lost = new BlockError('ECONNRESET', `${origin.name}: the server is gone, and so is the disk`);
    ending.abort();
  };
  try {
    const root = point.over === 'file' ? disks[0]! : disks;
    const session = new FuseSession(root, optionsOf(settings, onError));
    const mount = await mountFuse(point.path, { ...settings.fuse, over: point.over });
    const loop = new FuseLoop(mount.fd, session, settings.single ? 1 : MOST, lender);
    await serve(loop, mount, point, settings, ending.signal);
    if (lost) throw lost;
    await flush(disks, origin.kind === 'command' && ending.signal.aborted);
  } finally {
    await closeAll(disks.map(({ device }) => device));
  }
}

/** @param interrupted a command has had the signal of the terminal, too, and ends by itself. */
async function flush(disks: readonly FileDisk[], interrupted: boolean): Promise<void> {
  try {
    for (const { device } of disks) if (device.write) await device.flush?.();
  } catch (error) {
    if (!interrupted || !LOST.has(errnoOf(error))) throw error;
  }
}

function tell(words: string): void {
  process.stderr.write(`nbdfuse: ${words}\n`);
}

function optionsOf({ fuse, verbose }: Settings, onError: FuseOptions['onError']): FuseOptions {
  const { uid = process.geteuid!(), gid = process.getegid!() } = fuse;
  return { ...fuse, uid, gid, onError, ...(verbose && { debug: tell }) };
}

async function serve(
  loop: FuseLoop,
  mount: FuseMount,
  { path }: MountPoint,
  { pidFile }: Settings,
  signal: AbortSignal,
): Promise<void> {
  let mounted = true;
  const serving = loop.serve().finally(() => {
    mounted = false;
  });
  try {
    await readAhead(path, READ_AHEAD);
    if (pidFile !== undefined) await writePidFile(pidFile);
    await Promise.race([serving, aborted(signal)]);
  } finally {
    if (mounted) await mount.unmount();
    else mount.forget();
    await loop.stop();
    if (pidFile !== undefined) removePidFile(pidFile);
  }
}
