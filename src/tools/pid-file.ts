/** The file of -P: it says which process serves, as long as it does. */
import { lstatSync, readFileSync, renameSync, unlinkSync, writeFile, writeFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { messageOf, UsageError } from '../block/errors.ts';

const LINE = `${process.pid}\n`;

/**
 * Writes the number of this process. Whoever waits for a file to appear finds it whole; what is no
 * file, or a link to one, is written to and stays what it is.
 * @throws UsageError naming the file.
 */
export async function writePidFile(path: string): Promise<void> {
  try {
    if (isFileOrNothing(path)) replace(path);
    else await promisify(writeFile)(path, LINE);
  } catch (error) {
    throw new UsageError(`pidfile: ${path}: ${messageOf(error)}`);
  }
}

/** Removes the file, if it is still the one that this process wrote. */
export function removePidFile(path: string): void {
  try {
    if (lstatSync(path).isFile() && readFileSync(path, 'latin1') === LINE) unlinkSync(path);
  } catch {
    // Gone already, or with another user's rights not ours to remove.
  }
}

function isFileOrNothing(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isFile() ?? true;
}

function replace(path: string): void {
  const unfinished = `${path}.${process.pid}`;
  try {
    writeFileSync(unfinished, LINE, { flag: 'wx' });
    renameSync(unfinished, path);
  } catch (error) {
    try {
      unlinkSync(unfinished);
    } catch {}
    throw error;
  }
}
