import { realpathSync } from 'node:fs';
import { messageOf, UsageError } from '../block/errors.ts';
import type { ParameterDeclarations, RawParameter } from '../declare/parameters.ts';

/** The parameters of plugins that run one script. */
export const SCRIPT_PARAMETERS = {
  script: {
    type: 'string',
    bare: true,
    required: true,
    repeat: true,
    help: 'The script, first of all; what comes after it is for the script',
  },
} as const satisfies ParameterDeclarations;

/** Splits words into the script and what is for it. @throws UsageError */
export function scriptAmong([first, ...parameters]: readonly RawParameter[]) {
  if (!first) return undefined;
  if (first.key !== undefined && first.key !== 'script') {
    throw new UsageError(`'${first.key}': the first parameter must be script=FILE`);
  }
  // A script may have words without a key as well.
  const others = parameters.map(({ key, value }) => ({
    key: key === 'script' ? undefined : key,
    value,
  }));
  return { script: first.value, parameters: others };
}

/** The path of a script, wherever the server goes. @throws UsageError */
export function existingScript(path: string): string {
  try {
    return realpathSync(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const why = code === 'ENOENT' ? 'there is no such file' : messageOf(error);
    throw new UsageError(`script: ${path}: ${why}`);
  }
}
