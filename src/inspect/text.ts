import { contiguous } from '../block/data.ts';
import type { RequestOptions } from '../block/device.ts';
import { BlockError, errnoOf } from '../block/errors.ts';
import { nameOf } from '../formats/fs/names.ts';
import type { Tree } from '../formats/fs/tree.ts';

/** Most files of an inspected system that are read are small. */
const LONGEST = 1 << 20;

/** What is not there, or cannot be read, says nothing. */
export async function attempt<T>(act: () => Promise<T>): Promise<T | undefined> {
  try {
    return await act();
  } catch (error) {
    if (
      error instanceof BlockError &&
      ['ENOENT', 'EINVAL', 'EIO', 'ENOTSUP'].includes(errnoOf(error))
    ) {
      return undefined;
    }
    throw error;
  }
}

export interface BytesOptions extends RequestOptions {
  /** Bytes; the first MiB unless said. */
  readonly most?: number;
}

/** The beginning of a file; undefined where it is not there or cannot be read. */
export function bytesOf(
  tree: Tree,
  path: string,
  { most = LONGEST, signal }: BytesOptions = {},
): Promise<Buffer | undefined> {
  return attempt(async () => {
    const { node } = await tree.find(path, { signal });
    const content = await node.open({ signal });
    const length = content.size < BigInt(most) ? Number(content.size) : most;
    if (length === 0) return Buffer.alloc(0);
    return Buffer.from(contiguous(await content.read(0n, length, { signal })));
  });
}

/** As `bytesOf`, as text. */
export async function textOf(
  tree: Tree,
  path: string,
  options?: BytesOptions,
): Promise<string | undefined> {
  const bytes = await bytesOf(tree, path, options);
  return bytes && nameOf(bytes);
}
