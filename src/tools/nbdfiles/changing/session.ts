import { UsageError } from '../../../block/errors.ts';
import type { FilesLine } from '../commands.ts';
import { mountedTree, openGuest } from '../guest.ts';
import { has, type Source } from '../sources.ts';
import { Editor } from './editor.ts';
import { claim } from './in-use.ts';

/**
 * Opens disks for writing, calls `act`, and writes all of its changes when it was done: none when it
 * fails, or with --dry-run.
 * @returns the exit status. @throws UsageError; BlockError what `act` throws.
 */
export async function changing(
  line: FilesLine,
  sources: readonly Source[],
  act: (editor: Editor) => Promise<void>,
): Promise<number> {
  if (sources.length === 0) throw new UsageError('which disk? expected -a DISK, see --help');
  const release = claim(sources);
  try {
    const guest = await openGuest(line, sources, false);
    try {
      await edited(line, new Editor(await mountedTree(line, guest), guest.mountables), act);
    } finally {
      await guest.close();
    }
  } finally {
    release();
  }
  return 0;
}

async function edited(
  line: FilesLine,
  editor: Editor,
  act: (editor: Editor) => Promise<void>,
): Promise<void> {
  try {
    await act(editor);
    if (!has(line, 'dryRun')) await editor.commit();
  } finally {
    await editor.close();
  }
}
