import { readFileSync } from 'node:fs';
import { messageOf, naming, UsageError } from '../block/errors.ts';

/**
 * A text file that a parameter names, line by line; without empty lines and those that begin with
 * `#`. @param parse makes something of the words of a line.
 * @throws UsageError with the name of the file, and the line when it is that which `parse` refuses.
 */
export function readLines<T>(file: string, parse: (words: string[]) => T): T[] {
  const found: T[] = [];
  for (const [index, line] of textOf(file).split('\n').entries()) {
    const words = line.trim().split(/\s+/);
    if (words[0] === '' || words[0]!.startsWith('#')) continue;
    found.push(naming(`${file}:${index + 1}`, () => parse(words)));
  }
  return found;
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new UsageError(messageOf(error));
  }
}
