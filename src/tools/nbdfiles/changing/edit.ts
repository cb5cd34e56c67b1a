import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { BlockError, UsageError } from '../../../block/errors.ts';
import type { FilesCommand } from '../commands.ts';
import { GUEST_OPTIONS, lastValue, MOUNT_OPTIONS } from '../sources.ts';
import { splitWords } from '../words.ts';
import type { Editor } from './editor.ts';
import { editByPerl, withFile } from './perl.ts';
import { changing } from './session.ts';
import { copyFile, neededContent } from './text-file.ts';

const command: FilesCommand = {
  options: {
    ...GUEST_OPTIONS,
    ...MOUNT_OPTIONS,
    backup: { names: ['b', 'backup'], value: 'required' },
    expression: { names: ['e', 'edit', 'expr'], value: 'required' },
  },
  help: `
Edits files on disks, with $EDITOR or by a Perl expression for each line:

    virt-edit [-b EXTENSION] [-e EXPRESSION] [-m DEVICE[:MOUNTPOINT]] -a DISK [-a DISK ...] FILE ...

`,
  run(line) {
    const { sources, words } = splitWords(line);
    if (words.length === 0)
      throw new UsageError('which file? expected a path from / on, see --help');
    const extension = lastValue(line, 'backup');
    const expression = lastValue(line, 'expression');
    return changing(line, sources, async editor => {
      for (const path of words) {
        if (extension !== undefined) {
          await copyFile(editor, path, path + extension);
        }
        if (expression === undefined) await editByHand(editor, path);
        else await editByPerl(editor, path, expression);
      }
    });
  },
};

export default command;

async function editByHand(editor: Editor, path: string): Promise<void> {
  const before = await neededContent(editor, path);
  const content = await withFile(before, async file => {
    const words = ['-c', '$0 "$1"', process.env.VISUAL || process.env.EDITOR || 'vi', file];
    const child = spawn('/bin/sh', words, { stdio: 'inherit' });
    const [status] = await once(child, 'close');
    if (status !== 0) throw new BlockError('EIO', `${path}: the editor ended with ${status}`);
    return readFileSync(file);
  });
  if (!content.equals(before)) await editor.write(path, { content });
}
