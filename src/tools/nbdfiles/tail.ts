import { stat } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { UsageError } from '../../block/errors.ts';
import { print } from '../cli.ts';
import { untilSignal } from '../until-signal.ts';
import type { FilesCommand, FilesLine } from './commands.ts';
import { Follower } from './follower.ts';
import { mountedTree, openGuest } from './guest.ts';
import { GUEST_OPTIONS, isFile, MOUNT_OPTIONS, type Source } from './sources.ts';
import { splitWords } from './words.ts';

/** Between two looks at disks, in ms: those of this machine tell when they have changed. */
const LOCAL = 500;
const REMOTE = 10_000;

const command: FilesCommand = {
  options: { ...GUEST_OPTIONS, ...MOUNT_OPTIONS },
  help: `
Follows what is written to files of disks, until it is interrupted:

    virt-tail [-m DEVICE[:MOUNTPOINT]] -a DISK [-a DISK ...] FILE ...

`,
  async run(line) {
    const { sources, words } = splitWords(line);
    if (words.length === 0)
      throw new UsageError('which file? expected a path from / on, see --help');
    const follower = new Follower(words, print);
    return untilSignal(async ({ signal }) => {
      while (await lookInto(line, sources, follower)) {
        await changed(sources, signal);
        if (signal.aborted) return;
      }
    });
  },
};

export default command;

/** @returns whether there is something to follow. */
async function lookInto(
  line: FilesLine,
  sources: readonly Source[],
  follower: Follower,
): Promise<boolean> {
  const guest = await openGuest(line, sources);
  try {
    return await follower.look(await mountedTree(line, guest));
  } finally {
    await guest.close();
  }
}

/** Until one of the disks is another, as far as that is seen from outside, or nobody waits. */
async function changed(sources: readonly Source[], signal: AbortSignal): Promise<void> {
  const names = sources.map(({ what }) => what);
  const local = names.filter(isFile);
  const before = await versionOf(local);
  const pause = (ms: number) => sleep(ms, undefined, { signal }).catch(() => {});
  if (local.length < names.length) return pause(REMOTE);
  do await pause(LOCAL);
  while (!signal.aborted && (await versionOf(local)) === before);
}

async function versionOf(names: readonly string[]): Promise<string> {
  const stats = await Promise.all(names.map(name => stat(name).catch(() => undefined)));
  return stats.map(found => `${found?.mtimeMs} ${found?.size}`).join(' ');
}
