import { basename, join } from 'node:path';
import { BlockError, UsageError } from '../../block/errors.ts';
import type { Place, Tree } from '../../formats/fs/tree.ts';
import { print } from '../cli.ts';
import type { FilesCommand, FilesLine } from './commands.ts';
import { contentOf } from './content.ts';
import { fileWriter } from './file-writer.ts';
import { mountedTree, openGuest, statusWith } from './guest.ts';
import { GUEST_OPTIONS, has, lastValue, MOUNT_OPTIONS } from './sources.ts';
import { disksOf } from './words.ts';

const BOOT = '/boot';
/** The name before the version. */
const KERNEL = /^(vmlinuz|vmlinux)-(.+)$/;
const INITRAMFS = /^(initrd\.img|initramfs|initrd)-(.+?)(\.img)?$/;

const command: FilesCommand = {
  options: {
    ...GUEST_OPTIONS,
    ...MOUNT_OPTIONS,
    output: { names: ['o', 'output'], value: 'required', values: 'folder' },
    prefix: { names: ['prefix'], value: 'required' },
    quiet: { names: ['q', 'quiet'] },
    unversioned: { names: ['unversioned-names'] },
  },
  help: `
Copies the newest kernel and its initramfs out of disks:

    virt-get-kernel [-o FOLDER] [--prefix PREFIX] [--unversioned-names] -a DISK [-a DISK ...]

`,
  async run(line) {
    const guest = await openGuest(line, disksOf(line));
    const tree = await mountedTree(line, guest);
    const status = statusWith(line, tree.mounts, 0);
    for (const found of await newestIn(tree)) {
      const to = join(lastValue(line, 'output') ?? '.', nameFor(line, found));
      await copyOut(found, to);
      if (!has(line, 'quiet')) await print(`download: ${found.place.path} -> ${to}\n`);
    }
    return status;
  },
};

export default command;

/** A file of a kernel. */
interface Found {
  readonly place: Place;
  /** Its name without the version. */
  readonly kind: string;
  readonly version: string;
}

/** The kernel with the highest version, and the initramfs of that. @throws BlockError ENOENT */
async function newestIn(tree: Tree): Promise<readonly Found[]> {
  const children = await tree.children(await tree.find(BOOT));
  const matching = async (pattern: RegExp): Promise<Found[]> => {
    const found: Found[] = [];
    for (const { name, path } of children) {
      const [, kind = '', version = ''] = pattern.exec(name) ?? [];
      const place = kind === '' ? undefined : await tree.find(path);
      if (place?.node.stat.type === 'file') found.push({ place, kind, version });
    }
    return found;
  };
  const { compare } = new Intl.Collator('en', { numeric: true });
  const kernels = await matching(KERNEL);
  const newest = kernels.sort((a, b) => compare(a.version, b.version)).at(-1);
  if (!newest) throw new BlockError('ENOENT', `${BOOT}: there is no kernel`);
  const initramfs = (await matching(INITRAMFS)).find(({ version }) => version === newest.version);
  return initramfs ? [newest, initramfs] : [newest];
}

function nameFor(line: FilesLine, { place, kind }: Found): string {
  const prefix = lastValue(line, 'prefix');
  if (prefix?.includes('/')) throw new UsageError(`--prefix: ${prefix}: is no part of a name`);
  const name = has(line, 'unversioned') ? kind : basename(place.path);
  return prefix === undefined ? name : `${prefix}-${name}`;
}

async function copyOut({ place }: Found, to: string): Promise<void> {
  const { write, end } = await fileWriter(to);
  for await (const bytes of contentOf(place.node)) await write(bytes);
  await end();
}
