import { UsageError } from '../../block/errors.ts';
import { compareNames } from '../../formats/fs/names.ts';
import type { Place, Tree } from '../../formats/fs/tree.ts';
import type { FilesCommand } from './commands.ts';
import { Failures } from './failures.ts';
import { Output } from './fields.ts';
import { mountedTree, openGuest, statusWith } from './guest.ts';
import { LISTING_OPTIONS, listingOf } from './listing.ts';
import { longLine, totalOf } from './long-listing.ts';
import { GUEST_OPTIONS, has, MOUNT_OPTIONS } from './sources.ts';
import { splitWords } from './words.ts';

const command: FilesCommand = {
  options: {
    ...GUEST_OPTIONS,
    ...MOUNT_OPTIONS,
    ...LISTING_OPTIONS,
    long: { names: ['l', 'long'] },
    recursive: { names: ['R', 'recursive'] },
  },
  help: `
Lists directories of disks:

    virt-ls [-l] [-R] [-m DEVICE[:MOUNTPOINT]] -a DISK [-a DISK ...] DIRECTORY ...

With -lR: [-h] [--csv] [--checksum[=SUM]] [--uids] [--times] [--extra-stats],
[--time-t] [--time-days] [--time-relative].

`,
  async run(line) {
    const { sources, words } = splitWords(line);
    if (words.length === 0)
      throw new UsageError('which directory? expected a path from / on, see --help');
    const listing = listingOf(line);
    const guest = await openGuest(line, sources);
    const tree = await mountedTree(line, guest);
    const status = statusWith(line, tree.mounts, 0);
    const output = new Output();
    const failures = new Failures(line);
    const long = has(line, 'long');
    const show = has(line, 'recursive')
      ? long
        ? (top: Place) => recursiveLong(tree, top, output, { failed: failures.report, listing })
        : (top: Place) => recursive(tree, top, output, failures.report)
      : long
        ? (top: Place) => longDirectory(tree, top, output)
        : (top: Place) => simple(tree, top, output);
    for (const path of words) {
      try {
        const top = await tree.find(path);
        if (top.node.stat.type !== 'directory') throw new UsageError(`${path}: is no directory`);
        await show(top);
      } catch (error) {
        failures.report(path, error);
      }
    }
    await output.flush();
    return failures.status(status);
  },
};

export default command;

async function simple(tree: Tree, top: Place, output: Output): Promise<void> {
  for (const { name } of await tree.children(top)) await output.line(name);
}

async function recursiveLong(
  tree: Tree,
  top: Place,
  output: Output,
  {
    failed,
    listing,
  }: { failed(path: string, error: unknown): void; listing(place: Place): Promise<string> },
): Promise<void> {
  for await (const place of tree.walk(top, { failed })) {
    try {
      await output.line(await listing(place));
    } catch (error) {
      failed(place.path, error);
    }
  }
}

/** Paths from the directory on, in the order of bytes. */
async function recursive(
  tree: Tree,
  top: Place,
  output: Output,
  failed: (path: string, error: unknown) => void,
): Promise<void> {
  const lead = top.path === '/' ? 1 : top.path.length + 1;
  const names: string[] = [];
  for await (const { path } of tree.walk(top, { failed })) {
    if (path !== top.path) names.push(path.slice(lead));
  }
  for (const name of names.sort(compareNames)) await output.line(name);
}

/** As `ls -la` has it. */
async function longDirectory(tree: Tree, top: Place, output: Output): Promise<void> {
  const parent = await tree.find(`${top.path}/..`);
  const rows: { name: string; place: Place }[] = [
    { name: '.', place: top },
    { name: '..', place: parent },
  ];
  for (const { name, place } of await tree.children(top)) rows.push({ name, place: await place() });
  await output.line(`total ${totalOf(rows.map(({ place }) => place.node.stat))}`);
  const stats = rows.map(({ place }) => place.node.stat);
  for (const { name, place } of rows) await output.line(await longLine(name, place.node, stats));
}
