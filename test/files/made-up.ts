/**
 * File systems of objects: a text is a file, an object a directory, a list one with odd names, and a
 * number an empty file of that second.
 */
import { bytesDevice } from '../../src/formats/fs/file-device.ts';
import type { Entry, FileSystem, FileType, Node } from '../../src/formats/fs/file-system.ts';
import { Tree } from '../../src/formats/fs/tree.ts';

export type Content =
  | string
  | number
  | { readonly link: string }
  | { readonly [name: string]: Content }
  | readonly (readonly [name: string, content: Content])[];

const ids = new WeakMap<object, string>();
let next = 0;

/** The same for the same object. */
function idOf(content: Content): string {
  if (typeof content !== 'object') return String(next++);
  const id = ids.get(content) ?? String(next++);
  ids.set(content, id);
  return id;
}

function linkOf(content: Content): string | undefined {
  if (typeof content !== 'object' || Array.isArray(content) || !('link' in content))
    return undefined;
  return typeof content.link === 'string' ? content.link : undefined;
}

function nodeOf(content: Content): Node {
  const link = linkOf(content);
  const type: FileType =
    typeof content !== 'object' ? 'file' : link === undefined ? 'directory' : 'symlink';
  const bytes = Buffer.from(typeof content === 'string' ? content : '');
  const entry = ([name, inner]: readonly [string, Content]): Entry => ({
    name,
    node: async () => nodeOf(inner),
  });
  const time = BigInt(typeof content === 'number' ? content : 1000) * 1_000_000_000n;
  return {
    id: idOf(content),
    stat: {
      type,
      mode: type === 'directory' ? 0o750 : 0o640,
      links: 1,
      uid: process.getuid?.() ?? 0,
      gid: process.getgid?.() ?? 0,
      size: BigInt(bytes.length),
      blocks: 0n,
      atime: time,
      mtime: time,
      ctime: time,
      inode: 0n,
    },
    list: async () => {
      const names = Array.isArray(content) ? content : Object.entries(content);
      return (names as [string, Content][]).map(entry);
    },
    readlink: async () => link ?? '',
    open: async () => bytesDevice(bytes),
  };
}

export function fileSystemOf(content: Content): FileSystem {
  return {
    type: 'made-up',
    label: '',
    uuid: undefined,
    warnings: [],
    root: nodeOf(content),
    usage: async () => ({
      blockSize: 512,
      blocks: 0n,
      free: 0n,
      available: 0n,
      files: 0n,
      filesFree: 0n,
    }),
  };
}

/** File systems by where they are mounted; one alone is `/`. */
export function treeOf(content: Content, mounts: Readonly<Record<string, Content>> = {}): Tree {
  const all = Object.entries({ '/': content, ...mounts });
  return new Tree(all.map(([path, inner]) => ({ path, fileSystem: fileSystemOf(inner) })));
}
