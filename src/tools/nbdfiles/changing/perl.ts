import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runProgram } from '../../../posix/program.ts';
import { temporaryFolder, withPrivateFolder } from '../../../posix/temporary.ts';
import type { Editor } from './editor.ts';
import { neededContent } from './text-file.ts';

/**
 * Changes each line of a file by a Perl expression, in which it is `$_` and its number `$lineno`.
 * @throws BlockError ENOENT there is no such file; EIO perl fails.
 */
export async function editByPerl(editor: Editor, path: string, expression: string): Promise<void> {
  const before = await neededContent(editor, path);
  const content = await withFile(before, async (file, folder) => {
    const output = join(folder, 'output');
    const fd = openSync(output, 'wx', 0o600);
    try {
      const program = `$lineno = 0; while (<STDIN>) { $lineno++; ${expression};\nprint STDOUT $_ or die; } close STDOUT or die;`;
      // Standard input is no descriptor that runProgram gives.
      const words = ['-e', `open STDIN, '<', shift or die; ${program}`, '--', file];
      await runProgram('perl', words, { output: fd });
    } finally {
      closeSync(fd);
    }
    return readFileSync(output);
  });
  if (!content.equals(before)) await editor.write(path, { content });
}

/** Calls `use` with a private file that has such a content. */
export function withFile<T>(
  content: Buffer,
  use: (file: string, folder: string) => Promise<T>,
): Promise<T> {
  return withPrivateFolder(join(temporaryFolder(), 'nbdfiles-'), async folder => {
    const file = join(folder, 'file');
    writeFileSync(file, content, { mode: 0o600 });
    return use(file, folder);
  });
}
