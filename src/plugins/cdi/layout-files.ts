import { join } from 'node:path';
import { alignedDevice } from '../../block/aligned.ts';
import type { BlockDevice } from '../../block/device.ts';
import { BlockError } from '../../block/errors.ts';
import { withRecipeOf } from '../../block/recipe.ts';
import { PASS, wrapDevice } from '../../block/wrap.ts';
import { bytesAt } from '../../codecs/encoded.ts';
import { type ArchiveEntry, isNamed } from '../../formats/archive/entry.ts';
import { tarEntries } from '../../formats/archive/tar.ts';
import { fileDevice } from '../../stores/file/device.ts';
import { openFile } from '../../stores/file/open.ts';

/** Bytes of a manifest. */
const LONGEST = 4 << 20;
/** Files of an archive that are looked at. */
const MOST_FILES = 1 << 16;

/** The files that an image consists of. */
export interface LayoutFiles {
  /** @throws BlockError ENOENT */
  open(path: string): BlockDevice | Promise<BlockDevice>;
  close(): Promise<void>;
}

/** @param path of a folder; what is opened in it is never outside, as far as its names are not. */
export function filesInFolder(path: string): LayoutFiles {
  return { open: name => fileDevice(openFile(join(path, name), true)), close: async () => {} };
}

/** Those in a tar archive. @throws BlockError it cannot be read, or is none */
export async function filesInArchive(path: string): Promise<LayoutFiles> {
  const archive = fileDevice(openFile(path, true));
  const view = withRecipeOf(archive, wrapDevice(archive, { ...PASS, close: () => {} }));
  const close = async () => archive.close?.();
  const entries: ArchiveEntry[] = [];
  try {
    for await (const entry of tarEntries(archive, {})) {
      if (entries.push(entry) > MOST_FILES) throw new BlockError('EIO', 'tar: too many files');
    }
  } catch (error) {
    await close();
    throw error;
  }
  const open = async (name: string) => {
    const found = entries.find(entry => isNamed(entry, name));
    if (found) return await found.open(view, {});
    throw new BlockError('ENOENT', `there is no file ${name} in the archive`);
  };
  return { open, close };
}

/** A text among them. @throws BlockError */
export async function textIn(files: LayoutFiles, path: string): Promise<string> {
  const device = await files.open(path);
  try {
    const size = Number(device.size);
    if (size > LONGEST) throw new BlockError('EIO', `${path} has ${size} bytes: it is no manifest`);
    return (await bytesAt(alignedDevice(device), 0, size)).toString();
  } finally {
    await device.close?.();
  }
}
