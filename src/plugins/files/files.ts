import { closeAll } from '../../block/close-all.ts';
import type { BlockDevice, DeviceSource, RequestOptions } from '../../block/device.ts';
import { BlockError, errnoOf, messageOf } from '../../block/errors.ts';
import { definePlugin } from '../../declare/declare.ts';
import { formatNames } from '../../formats/formats.ts';
import type { Tree } from '../../formats/fs/tree.ts';
import { openImageFile } from '../../formats/open-image.ts';
import type { Keys } from '../../inspect/encrypted.ts';
import { mountedTree } from '../../inspect/mounted.ts';
import { listVolumes, openFileSystems } from '../../inspect/volumes.ts';
import { filesBeside, namedFile } from '../../stores/file/beside.ts';

/** Most files that are listed, and most places that are looked at for them. */
const MOST_EXPORTS = 10_000;
const MOST_PLACES = 100_000;
/** Bytes of the name of an export. */
const LONGEST_NAME = 4096;
/** An encrypted volume is opened where its key is. */
const WITH_KEY = 'luks';

export default definePlugin({
  name: 'files',
  description: 'the files inside of disk images, each as a disk',
  parameters: {
    image: {
      type: 'path',
      bare: true,
      required: true,
      repeat: true,
      help: 'Image of a disk; several are the disks of one machine',
    },
    format: {
      type: 'string',
      choices: formatNames,
      help: 'Format of the images (default: as each begins)',
    },
    path: { type: 'string', help: 'The one file that is served; else clients name it' },
    mount: {
      type: 'string',
      repeat: true,
      help: 'DEVICE[:MOUNTPOINT], such as /dev/sda1 (default: as the system on it has it)',
    },
    key: { type: 'password', help: 'What opens an encrypted volume' },
  },
  async create({ image, format, path, mount, key }, { warn }) {
    const disks: BlockDevice[] = [];
    try {
      for (const name of image) disks.push(await openDisk(name, format));
      const keys = key === undefined ? [] : [{ id: undefined, passphrase: Buffer.from(key) }];
      const tree = await treeOn(disks, mount, keys, warn);
      return { ...(await filesSource(tree, path)), close: () => closeAll(disks) };
    } catch (error) {
      await closeAll(disks);
      throw error;
    }
  },
});

async function openDisk(name: string, format: string | undefined): Promise<BlockDevice> {
  const files = filesBeside();
  const options = { readOnly: true, files };
  const chosen = format === WITH_KEY ? 'raw' : format;
  try {
    return (await openImageFile(namedFile(name, true), { ...options, format: chosen })).device;
  } catch (error) {
    throw new BlockError(errnoOf(error), `${name}: ${messageOf(error)}`, { cause: error });
  }
}

async function treeOn(
  disks: readonly BlockDevice[],
  mounts: readonly string[],
  keys: Keys,
  warn: (words: string) => void,
): Promise<Tree> {
  const failed = (name: string, words: string) => warn(`${name}: ${words}`);
  const { volumes } = await listVolumes(disks, failed, keys);
  const tree = await mountedTree(await openFileSystems(volumes, failed), {
    mounts,
    option: 'mount',
  });
  for (const { fileSystem } of tree.mounts) fileSystem.warnings.forEach(warn);
  return tree;
}

async function filesSource(tree: Tree, only: string | undefined): Promise<DeviceSource> {
  // What is not there is told of at once.
  if (only !== undefined) await openFile(tree, only);
  return {
    open: ({ exportName, signal }) => {
      if (only === undefined || exportName === only) return openFile(tree, exportName, { signal });
      if (exportName === '') return openFile(tree, only, { signal });
      throw new BlockError('ENOENT', `${exportName}: is not served`);
    },
    list: async () => (only === undefined ? await filesIn(tree) : [only]).map(name => ({ name })),
    defaultExport: () => only ?? '',
  };
}

async function openFile(tree: Tree, path: string, options?: RequestOptions): Promise<BlockDevice> {
  if (path === '') throw new BlockError('ENOENT', 'the export has no name: expected a path');
  const { node } = await tree.find(path, options);
  if (node.stat.type !== 'file') {
    throw new BlockError('ENOENT', `${path}: is no regular file but a ${node.stat.type}`);
  }
  return node.open(options);
}

/** The paths of the first regular files. */
async function filesIn(tree: Tree): Promise<string[]> {
  const found: string[] = [];
  let places = 0;
  for await (const { path, node } of tree.walk(await tree.find('/'), { failed: () => {} })) {
    const isListed = node.stat.type === 'file' && Buffer.byteLength(path) <= LONGEST_NAME;
    if (isListed) found.push(path);
    if (found.length >= MOST_EXPORTS || ++places >= MOST_PLACES) break;
  }
  return found;
}
