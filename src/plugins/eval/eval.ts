import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { definePlugin } from '../../declare/declare.ts';
import type { ParameterDeclaration } from '../../declare/parameters.ts';
import { scriptPlugin } from '../../scripts/plugin.ts';
import { KNOWN_STATUS, Programs } from '../../scripts/programs.ts';
import { impliedReply, METHODS } from '../../scripts/script.ts';

const { load: _, ...methods } = METHODS;
const helps = { ...methods, missing: 'what is asked in place of methods that are not given' };

const parameters: Record<string, ParameterDeclaration> = Object.fromEntries(
  Object.entries(helps).map(([method, help]) => [
    method,
    { type: 'string', help: `Script: ${help}` },
  ]),
);

export default definePlugin({
  name: 'eval',
  description: 'a disk served by shell scripts on the command line, one a method',
  parameters,
  ...scriptPlugin(
    (words, { debug }) => {
      const files = new Map<string, string>();
      const has = (method: string) => files.has(method);
      const programs = new Programs(
        method => files.get(method) ?? (isImplied(method) ? undefined : files.get('missing')),
        debug,
        method => impliedReply(method, has),
      );
      const isImplied = (method: string) => impliedReply(method, has).status === 0;
      for (const { key, value } of words) {
        if (key === undefined || !Object.hasOwn(parameters, key)) continue;
        const path = join(programs.folder.path, key);
        writeFileSync(path, `${value}\n`, { mode: 0o500 });
        files.set(key, path);
      }
      const others = words.filter(({ key }) => key === undefined || !files.has(key));
      return { script: programs, parameters: others, remove: programs.remove };
    },
    () => KNOWN_STATUS,
  ),
});
