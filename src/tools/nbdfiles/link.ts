import { symlink, unlink } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { BlockError, errnoOf, reasonOf, UsageError } from '../../block/errors.ts';
import { print } from '../cli.ts';
import { commandNames } from './commands.ts';

/** Makes the names by which users of libguestfs know the commands, as links in a folder. */
export async function link([folder, ...others]: readonly string[]): Promise<number> {
  if (folder === undefined || others.length > 0)
    throw new UsageError('--link: expected one folder');
  const program = resolve(process.argv[1]!);
  for (const name of commandNames()) {
    const path = join(folder, `virt-${name}`);
    await unlink(path).catch(() => {});
    try {
      await symlink(program, path);
    } catch (error) {
      throw new BlockError(errnoOf(error), `${path}: ${reasonOf(error)}`, { cause: error });
    }
    await print(`${path}\n`);
  }
  return 0;
}
