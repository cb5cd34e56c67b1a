/** Scripts of JavaScript and TypeScript, with `await` and `import` anywhere. */
import { createRequire } from 'node:module';
import * as library from '../../index.ts';

type Script = () => Promise<unknown>;

const AsyncFunction = (async () => {}).constructor as new (code: string) => Script;

/** @throws SyntaxError */
export function compile(code: string): Script {
  try {
    return new AsyncFunction(code);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  const options = { async: true, filename: scriptName(), ext: '.ts' } as const;
  return async () => loader().evalModule(code, options);
}

/** The same code without its types. @throws SyntaxError */
export function withoutTypes(code: string): string {
  const source = { source: code, filename: scriptName(), ts: true, async: true };
  return loader()
    .transform(source)
    .replace(/^"use strict";/, '');
}

/** What is imported is looked for from the current folder. */
export const scriptName = () => `${process.cwd()}/nbdsh.ts`;

/** An import would make the prompt wait, which takes lines meanwhile. */
function loader() {
  const { createJiti }: typeof import('jiti') = createRequire(import.meta.url)('jiti');
  const virtualModules = { nbdpipe: library, 'nbdpipe/plugin': library };
  return createJiti(scriptName(), { fsCache: false, virtualModules });
}
