import type { ExportEntry } from '../../block/device.ts';
import { messageOf, UsageError } from '../../block/errors.ts';
import { runShell } from '../../posix/shell.ts';

/** The description of an export, which may have another one already. */
export type Describe = (entry: ExportEntry) => string | undefined | Promise<string | undefined>;

/**
 * As `exportdesc` says. A script that fails makes no description.
 * @throws UsageError
 */
export function describer(mode: string, debug: (message: string) => void): Describe {
  if (mode === 'keep') return ({ description }) => description;
  if (mode === 'none') return () => undefined;
  const [, kind, text] = /^(fixed|script):(.*)$/s.exec(mode) ?? [];
  if (kind === 'fixed') return () => text!;
  if (kind === 'script') {
    return async ({ name }) => {
      try {
        return (await runShell(text!, { variables: { name } })).output;
      } catch (error) {
        debug(messageOf(error));
        return undefined;
      }
    };
  }
  const right = 'expected keep, none, fixed:TEXT or script:SCRIPT';
  throw new UsageError(`unrecognized exportdesc mode: '${mode}': ${right}`);
}
