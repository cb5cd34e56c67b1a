import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

/** Of the command line. */
export const HELP = `\
usage: nbdsh [-b|--base-allocation] [-c CODE|--command=CODE] [-n] [--opt-mode]
             [-u URI|--uri=URI] [-v|--verbose] [FILE ...]
       nbdsh -h|--help
       nbdsh -V|--version

A shell for talking to NBD servers in JavaScript and TypeScript.

    -b, --base-allocation   ask for the metadata context base:allocation
    -c, --command=CODE      run this and end; may be repeated; - is standard input
    -n                      no handle h
    --opt-mode              stop before an export is chosen
    -u, --uri=URI           connect to this
    -v, --verbose           tell of each request

Examples:

    nbdsh -u nbd://localhost -c 'print(h.size)'
    nbdsh -u nbd://localhost -c 'print(await h.read(0, 512))'
    nbdsh script.ts

The manual page, nbdsh --man, says more.
`;

const EXAMPLES = [
  ['h = await open("nbd://localhost")', 'Connect to a server.'],
  ['h = await open(["nbdkit", "memory", "1G"])', 'Run one.'],
  ['h.size', 'The size of the disk, in bytes.'],
  ['h.can', 'What can be done with it.'],
  ['buf = await h.read(0, 512)', 'Read the first sector.'],
  ['await h.write(0, Buffer.from("hello"))', 'Write; zero, trim and flush are there, too.'],
  ['exit() or Ctrl-D', 'Leave.'],
] as const;

/** For whoever sits at the prompt. @param handle there is one. */
export function help(handle: boolean): string {
  const lines = EXAMPLES.map(([code, words]) => `${code.padEnd(42)} # ${words}`);
  const home = dirname(createRequire(import.meta.url).resolve('nbdpipe/package.json'));
  return `${handle ? 'The handle is called h. ' : ''}All of nbdpipe is there, also as nbd.

${lines.join('\n')}
help()                                     # This text.

All about them: nbdsh --man and ${join(home, 'docs/library.md')}`;
}
