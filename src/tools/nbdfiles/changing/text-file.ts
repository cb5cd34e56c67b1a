import { posix } from 'node:path';
import { contiguous } from '../../../block/data.ts';
import { BlockError } from '../../../block/errors.ts';
import type { Editor } from './editor.ts';

/** Bytes of a file that is changed as a whole. */
const LONGEST = 64 << 20;

/** The content of a file; undefined where there is none. @throws BlockError it is too long. */
export async function contentIn(editor: Editor, path: string): Promise<Buffer | undefined> {
  const place = await editor.existing(path);
  if (!place) return undefined;
  const { size } = place.node.stat;
  if (size > BigInt(LONGEST)) {
    throw new BlockError('ENOTSUP', `${path}: has ${size} bytes, and is edited up to ${LONGEST}`);
  }
  const device = await place.node.open();
  const length = Number(device.size);
  return length === 0 ? Buffer.alloc(0) : Buffer.from(contiguous(await device.read(0n, length)));
}

/** As `contentIn`. @throws BlockError ENOENT there is none. */
export async function neededContent(editor: Editor, path: string): Promise<Buffer> {
  const content = await contentIn(editor, path);
  if (content) return content;
  throw new BlockError('ENOENT', `${path}: no such file or directory`);
}

/** Changes a text file as a whole; every byte is a character of it. */
export async function rewrite(
  editor: Editor,
  path: string,
  change: (text: string) => string,
): Promise<void> {
  const before = (await neededContent(editor, path)).toString('latin1');
  const after = change(before);
  if (after !== before) await editor.write(path, { content: Buffer.from(after, 'latin1') });
}

/** Text whose characters are the bytes of its UTF-8, as `rewrite` has them. */
export const asBytes = (text: string) => Buffer.from(text).toString('latin1');

/** Puts a copy of a file somewhere, with its owner, permissions and time. @throws BlockError */
export async function copyFile(editor: Editor, path: string, to: string): Promise<void> {
  const content = await neededContent(editor, path);
  const { mode, uid, gid, mtime } = (await editor.tree.find(path)).node.stat;
  const directory = await editor.existing(to);
  const isFolder = directory?.node.stat.type === 'directory';
  const target = isFolder ? posix.join(to, posix.basename(path)) : to;
  await editor.write(target, { content, mode, uid, gid, mtime: Number(mtime / 1_000_000_000n) });
}
