import { join } from 'node:path';
import { temporaryFolder, withPrivateFolder } from '../../posix/temporary.ts';
import { atEnd } from '../ending.ts';

/**
 * Calls `use` with a private folder for what is large. It is gone afterwards, also when a signal ends
 * the program. @throws the system's error, or that of `use`.
 */
export async function withFolder<T>(use: (folder: string) => Promise<T>): Promise<T> {
  // Signals are waited for, so that what is to be done at the exit is done.
  const forget = atEnd(async () => {});
  try {
    return await withPrivateFolder(join(temporaryFolder(), 'nbdfiles-'), use);
  } finally {
    forget();
  }
}
