import type { FilesLine } from './commands.ts';
import { type Source, sourceOf, sourcesOf } from './sources.ts';

/** The disks and the other words of a command line; in the old style all words but the last are disks. */
export function splitWords(line: FilesLine): { sources: Source[]; words: readonly string[] } {
  const sources = sourcesOf(line, 'add');
  if (sources.length > 0 || line.words.length < 2) return { sources, words: line.words };
  const disks = line.words.slice(0, -1).map(word => sourceOf(line, word));
  return { sources: disks, words: line.words.slice(-1) };
}

/** The disks of a command line of disks only; in the old style all words are some. */
export function disksOf(line: FilesLine): Source[] {
  const sources = sourcesOf(line, 'add');
  return sources.length > 0 ? sources : line.words.map(word => sourceOf(line, word));
}
