import { readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf, UsageError } from '../../block/errors.ts';
import { definePlugin } from '../../declare/declare.ts';
import { scriptPlugin } from '../../scripts/plugin.ts';
import { KNOWN_STATUS, Programs } from '../../scripts/programs.ts';

export default definePlugin({
  name: 'sh',
  description: 'a disk served by a shell script, or any other program',
  parameters: {
    script: {
      type: 'string',
      bare: true,
      required: true,
      repeat: true,
      help: 'The script, first of all, or - for one on standard input',
    },
  },
  ...scriptPlugin(
    ([first, ...parameters], { stdioSafe, debug }) => {
      if (!first) return undefined;
      if (first.key !== undefined && first.key !== 'script') {
        throw new UsageError(`'${first.key}': the first parameter must be script=FILE`);
      }
      const inline = first.value === '-';
      if (inline && !stdioSafe) throw new UsageError('script: - does not go with -s');
      const path = inline ? undefined : existing(first.value);
      const programs = new Programs(() => file, debug);
      const file = path ?? inlineScript(programs.folder.path);
      const words = parameters.map(({ key, value }) =>
        key === 'script' ? { key: undefined, value } : { key, value },
      );
      return { script: programs, parameters: words, remove: programs.remove };
    },
    () => KNOWN_STATUS,
  ),
});

function existing(path: string): string {
  try {
    return realpathSync(path);
  } catch (error) {
    throw new UsageError(`script: ${messageOf(error)}`);
  }
}

/** Standard input as a file. */
function inlineScript(folder: string): string {
  const path = join(folder, 'inline-script.sh');
  writeFileSync(path, readFileSync(0), { mode: 0o500 });
  return path;
}
