import { BlockError, UsageError } from '../../block/errors.ts';
import type { Parameters } from './parameters.ts';

/** Which disk a client gets by the name of its export. @throws UsageError */
export function fileNames({ file, export: pattern }: Parameters): (exportName: string) => string {
  if ((file === undefined) === (pattern === undefined)) {
    throw new UsageError('file and export: one of them must be given, and one only');
  }
  if (file !== undefined) return () => file;
  const allowed = patternOf(pattern!);
  return name => {
    // What leads out of a folder is under no pattern.
    if (allowed.test(name) && !name.split('/').includes('..')) return name;
    throw new BlockError('ENOENT', `there is no disk '${name}' that clients may name`);
  };
}

/** `*` and `?` stand for any characters; square brackets for themselves, as datastores have them. */
function patternOf(pattern: string): RegExp {
  const source = pattern
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.');
  return new RegExp(`^${source}$`, 's');
}
