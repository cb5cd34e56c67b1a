import { accessSync, constants, mkdirSync, statSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { BlockError, errnoOf, reasonOf, UsageError } from '../../../block/errors.ts';
import { runProgram } from '../../../posix/program.ts';
import { temporaryFolder, withPrivateFolder } from '../../../posix/temporary.ts';

const STANDARD_INPUT = '-';

/**
 * Calls `use` with the folder that a word of the command line means: itself, or what a tar archive
 * unpacks to, which is gone afterwards. Root keeps the owners of the archive.
 * @throws UsageError it cannot be read; BlockError EIO tar fails.
 */
export async function withInput<T>(word: string, use: (folder: string) => Promise<T>): Promise<T> {
  if (word !== STANDARD_INPUT && isFolder(word)) return use(word);
  return withPrivateFolder(join(temporaryFolder(), 'nbdfiles-'), async folder => {
    const archive = word === STANDARD_INPUT ? await spooled(join(folder, 'archive')) : word;
    const content = join(folder, 'content');
    mkdirSync(content, 0o755);
    // However it is compressed.
    const words = ['-xpf', archive, '--numeric-owner', '--force-local', '-C', content];
    await runProgram('tar', words, { variables: { LC_ALL: 'C' }, reason: 'first' });
    return use(content);
  });
}

function isFolder(word: string): boolean {
  try {
    accessSync(word, constants.R_OK);
    return statSync(word).isDirectory();
  } catch (error) {
    throw new UsageError(`${word}: ${reasonOf(error)}`);
  }
}

/** Standard input in a file: tar tells how one is compressed, and not what comes through a pipe. */
async function spooled(path: string): Promise<string> {
  try {
    const file = await open(path, 'wx', 0o600);
    await pipeline(process.stdin, file.createWriteStream());
    return path;
  } catch (error) {
    throw new BlockError(errnoOf(error), `-: ${reasonOf(error)}`, { cause: error });
  }
}
