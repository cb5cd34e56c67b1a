import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { BlockError, messageOf } from '../../../block/errors.ts';
import type { FileType, Node } from '../../../formats/fs/file-system.ts';
import { bytesOf } from '../../../formats/fs/names.ts';
import type { Tree } from '../../../formats/fs/tree.ts';
import { contentOf } from '../content.ts';
import type { Content } from './batch.ts';

/** How a file is to be; what is undefined may be anything. */
export interface Expected {
  readonly path: string;
  /** It is not to be there. */
  readonly absent?: boolean;
  readonly type?: FileType | undefined;
  readonly mode?: number | undefined;
  readonly uid?: number | undefined;
  readonly gid?: number | undefined;
  readonly content?: Content;
  /** Of a symbolic link. */
  readonly target?: string;
  /** One of those that it is to have. */
  readonly attribute?: { readonly key: string; readonly value: Buffer };
}

/** Looks whether files are as they are to be. @throws BlockError EIO one is not. */
export async function verify(tree: Tree, all: readonly Expected[]): Promise<void> {
  for (const expected of all) {
    const difference = await differenceIn(tree, expected);
    if (difference === undefined) continue;
    const words = `${expected.path}: was not changed as it was to be: ${difference}`;
    throw new BlockError('EIO', words);
  }
}

async function differenceIn(tree: Tree, expected: Expected): Promise<string | undefined> {
  const { path, absent = false } = expected;
  try {
    const { node } = await tree.find(path, { follow: false });
    return absent ? 'it is still there' : await differenceOf(node, expected);
  } catch (error) {
    const isAbsent = error instanceof BlockError && error.errno === 'ENOENT';
    return absent && isAbsent ? undefined : messageOf(error);
  }
}

async function differenceOf(node: Node, expected: Expected): Promise<string | undefined> {
  for (const key of ['type', 'mode', 'uid', 'gid'] as const) {
    const [wanted, found] = [expected[key], node.stat[key]];
    if (wanted !== undefined && wanted !== found) return `its ${key} is ${found}`;
  }
  const { content, target, attribute } = expected;
  if (target !== undefined && (await node.readlink()) !== target) return 'it leads elsewhere';
  if (content !== undefined && !(await hasContent(node, content)))
    return 'its content is otherwise';
  if (attribute === undefined) return undefined;
  const found = (await node.attributes?.())?.get(attribute.key);
  return found?.equals(attribute.value) ? undefined : `${attribute.key} is lost`;
}

async function hasContent(node: Node, content: Content): Promise<boolean> {
  const wanted = Buffer.isBuffer(content) ? [content] : createReadStream(bytesOf(content.path));
  const [ours, theirs] = await Promise.all([hashOf(contentOf(node)), hashOf(wanted)]);
  return ours.digest().equals(theirs.digest());
}

async function hashOf(pieces: Iterable<Uint8Array> | AsyncIterable<Uint8Array>): Promise<Hash> {
  const hash = createHash('sha256');
  for await (const bytes of pieces) hash.update(bytes);
  return hash;
}
