import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { UsageError } from '../../block/errors.ts';
import { definePlugin } from '../../declare/declare.ts';
import { existingScript, SCRIPT_PARAMETERS, scriptAmong } from '../../scripts/file.ts';
import { scriptPlugin } from '../../scripts/plugin.ts';
import { KNOWN_STATUS, Programs } from '../../scripts/programs.ts';

export default definePlugin({
  name: 'sh',
  description: 'a disk served by a shell script, or any other program',
  parameters: SCRIPT_PARAMETERS,
  ...scriptPlugin(
    (words, { stdioSafe, debug }) => {
      const given = scriptAmong(words);
      if (!given) return undefined;
      const inline = given.script === '-';
      if (inline && !stdioSafe) throw new UsageError('script: - does not go with -s');
      const path = inline ? undefined : existingScript(given.script);
      const script = new Programs(() => file, debug);
      const file = path ?? inlineScript(script.folder.path);
      return { script, parameters: given.parameters, remove: script.remove };
    },
    () => KNOWN_STATUS,
  ),
});

/** Standard input as a file. */
function inlineScript(folder: string): string {
  const path = join(folder, 'inline-script.sh');
  writeFileSync(path, readFileSync(0), { mode: 0o500 });
  return path;
}
