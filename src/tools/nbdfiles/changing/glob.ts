import { posix } from 'node:path';
import type { Editor } from './editor.ts';

const PATTERN = /[*?[]/;

/** The paths that a pattern of the shell's matches: `*`, `?` and `[...]`, in no name with a first dot. */
export async function matching(editor: Editor, pattern: string): Promise<readonly string[]> {
  const names = pattern.split('/').filter(name => name !== '');
  let found = ['/'];
  for (const name of names) {
    const next = found.map(path =>
      PATTERN.test(name) ? inside(editor, path, name) : [posix.join(path, name)],
    );
    found = (await Promise.all(next)).flat();
  }
  const places = await Promise.all(found.map(path => editor.existing(path, false)));
  return found.filter((_, index) => places[index] !== undefined);
}

async function inside(editor: Editor, path: string, pattern: string): Promise<string[]> {
  const directory = await editor.existing(path);
  if (directory?.node.stat.type !== 'directory') return [];
  const matches = matcher(pattern);
  const children = await editor.tree.children(directory);
  return children
    .filter(({ name }) => matches.test(name))
    .map(({ name }) => posix.join(path, name));
}

/** @param pattern without slashes. */
export function matcher(pattern: string): RegExp {
  const source = pattern.replace(/\[(!?)([^\]]+)\]|[\s\S]/g, (part, not?: string, set?: string) => {
    if (set !== undefined) return `[${not ? '^' : ''}${set.replace(/[\\^[]/g, '\\$&')}]`;
    if (part === '*') return '.*';
    if (part === '?') return '.';
    return part.replace(/[.+^${}()|[\]\\/]/, '\\$&');
  });
  return new RegExp(`^${pattern.startsWith('.') ? '' : '(?!\\.)'}${source}$`, 'su');
}
