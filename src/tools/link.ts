import { lstat, symlink, unlink } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { BlockError, errnoOf, reasonOf, UsageError } from '../block/errors.ts';
import { print } from './cli.ts';

/**
 * Makes the names by which users of the C tools know a program, as links in a folder. Links that are
 * there are replaced, programs are not.
 * @param words one folder. @returns the exit status.
 */
export async function link(words: readonly string[], names: readonly string[]): Promise<number> {
  const [folder, ...others] = words;
  if (folder === undefined || others.length > 0) {
    throw new UsageError('--link: expected one folder');
  }
  const program = resolve(process.argv[1]!);
  for (const name of names) {
    const path = join(folder, name);
    try {
      if (await isLink(path)) await unlink(path);
      await symlink(program, path);
    } catch (error) {
      throw new BlockError(errnoOf(error), `${path}: ${reasonOf(error)}`, { cause: error });
    }
    await print(`${path}\n`);
  }
  return 0;
}

async function isLink(path: string): Promise<boolean> {
  const stat = await lstat(path).catch(() => undefined);
  return stat?.isSymbolicLink() ?? false;
}
