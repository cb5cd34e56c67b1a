import type { RequestOptions } from '../../../block/device.ts';
import { damaged } from '../damaged.ts';
import { nameOf } from '../names.ts';
import { OBJECT, TYPE, type Volume } from './btrfs.ts';

/** Steps from a directory or subvolume to the top; more are a circle. */
const DEEPEST = 256;
const MOST = 4096;

/** Where a subvolume is: in a directory of another, by a name. */
interface Link {
  readonly parent: bigint;
  readonly directory: bigint;
  readonly name: string;
}

/** The paths of all subvolumes from the top one on, by their numbers. @throws BlockError */
export async function subvolumePaths(
  volume: Volume,
  options?: RequestOptions,
): Promise<ReadonlyMap<bigint, string>> {
  const links = await readLinks(volume, options);
  const paths = new Map<bigint, string>();
  for (const number of links.keys()) {
    const names: string[] = [];
    for (let at = number, link = links.get(at); link; at = link.parent, link = links.get(at)) {
      const inner = await directoryPath(volume, link.parent, link.directory, options);
      names.unshift(...inner, link.name);
      if (names.length > DEEPEST) throw damaged('btrfs: subvolumes', 'they are in each other');
    }
    paths.set(number, names.join('/'));
  }
  return paths;
}

async function readLinks(volume: Volume, options?: RequestOptions): Promise<Map<bigint, Link>> {
  const links = new Map<bigint, Link>();
  const from = { object: OBJECT.first, type: 0, offset: 0n };
  for await (const { key, data } of volume.trees.all(volume.rootTree, from, options)) {
    if (key.type !== TYPE.rootBackref || data.length < 18) continue;
    const name = nameOf(data.subarray(18, 18 + data.readUInt16LE(16)));
    links.set(key.object, { parent: key.offset, directory: data.readBigUInt64LE(0), name });
    if (links.size > MOST) throw damaged('btrfs: subvolumes', 'there are too many');
  }
  return links;
}

/** The names of a directory and those that it is in, within its subvolume. */
async function directoryPath(
  volume: Volume,
  tree: bigint,
  directory: bigint,
  options?: RequestOptions,
): Promise<string[]> {
  const names: string[] = [];
  const root = await volume.tree(tree, options);
  for (let at = directory; at !== OBJECT.first; ) {
    const from = { object: at, type: TYPE.inodeRef, offset: 0n };
    const { value: item } = await volume.trees.items(root, from, options).next();
    if (!item || item.data.length < 10 || names.length > DEEPEST) {
      throw damaged(`btrfs: directory ${directory}`, 'it is in none');
    }
    names.unshift(nameOf(item.data.subarray(10, 10 + item.data.readUInt16LE(8))));
    at = item.key.offset;
  }
  return names;
}
