import { writeFileSync, writeSync } from 'node:fs';
import { BlockError, errnoOf, reasonOf, UsageError } from '../../block/errors.ts';
import type { CopyOptions } from '../../copy/copy.ts';
import type { End } from './endpoints.ts';
import type { Settings } from './options.ts';

const STDOUT = 1;

/**
 * Copies by `act`, and says the hash of what was copied when one is asked for.
 * @throws BlockError the file for it cannot be written.
 */
export async function hashed(
  { blkhash, blkhashFile, threads }: Settings,
  destination: End,
  act: (options: CopyOptions) => Promise<void>,
): Promise<void> {
  if (!blkhash) return act({});
  if (blkhashFile === undefined && destination.kind === 'stream' && destination.fd === STDOUT) {
    throw new UsageError('--blkhash: the copy goes to standard output: expected --blkhash-file');
  }
  const { BlockHash } = await import('../../copy/hash/block-hash.ts');
  const hash = new BlockHash(blkhash, threads);
  try {
    await act({ observer: hash, granularity: blkhash.blockSize });
    say(await hash.value(), blkhashFile);
  } finally {
    await hash.close();
  }
}

function say(hash: string, file: string | undefined): void {
  const line = `${hash}\n`;
  if (file === undefined) {
    writeSync(STDOUT, line);
    return;
  }
  try {
    writeFileSync(file, line);
  } catch (error) {
    throw new BlockError(errnoOf(error), `--blkhash-file: ${reasonOf(error)}`, { cause: error });
  }
}
