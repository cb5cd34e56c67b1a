import { resolve } from 'node:path';

const ROOT = resolve(import.meta.dirname, '../..');

/** What Node is given to run a command from its sources: most of a second goes to compiling it. */
export const sourcesOf = (name: string): string[] => [
  '--import',
  import.meta.resolve('tsx'),
  resolve(ROOT, `src/tools/${name}/${name}.ts`),
];

/** A command as it is built. */
export const builtOf = (name: string): string[] => [resolve(ROOT, `dist/${name}.cjs`)];

/** A command as it is built where the runner has just done that, else from its sources. */
export const commandOf = (name: string): string[] =>
  process.env.NBDPIPE_BUILT === undefined ? sourcesOf(name) : builtOf(name);
