import { homedir } from 'node:os';
import { join } from 'node:path';
import { type REPLEval, Recoverable, start } from 'node:repl';
import { withoutTypes } from './compile.ts';
import type { Shell } from './shell.ts';

/**
 * Reads commands from a terminal, or from standard input, until there are no more.
 * @returns the exit status.
 */
export function prompt(shell: Shell): Promise<number> {
  process.stdout.write(bannerOf(shell.hasHandle));
  const server = start({ prompt: 'nbd> ', useGlobal: true, ignoreUndefined: true });
  const plainly = server.eval;
  let status: number | undefined;
  // What is thrown at the prompt does not come to its caller.
  shell.define('exit', (given = 0) => {
    status = given;
    server.close();
  });
  const evaluate: REPLEval = (code, context, file, done) => {
    if (status !== undefined) return;
    plainly.call(server, code, context, file, (error, value) => {
      if (!(error instanceof SyntaxError) || error instanceof Recoverable)
        return done(error, value);
      let plain: string;
      try {
        plain = withoutTypes(code);
      } catch {
        return done(error, value);
      }
      plainly.call(server, plain, context, file, done);
    });
  };
  Object.assign(server, { eval: evaluate });
  if (process.stdin.isTTY) {
    const file = process.env.NBDSH_HISTORY ?? join(homedir(), '.nbdsh_history');
    server.setupHistory(file, () => {});
  }
  return new Promise(resolve => server.once('exit', () => resolve(status ?? 0)));
}

function bannerOf(hasHandle: boolean): string {
  const examples = [
    ['h = await open("nbd://localhost")', 'Connect to a server.'],
    ['h.size', 'The size of the disk, in bytes.'],
    ['buf = await h.read(0, 512)', 'Read the first sector.'],
    ['exit() or Ctrl-D', 'Leave.'],
  ];
  const lines = examples.map(([code, words]) => `${code!.padEnd(34)} # ${words}`);
  const handle = hasHandle ? 'The handle is called h. ' : '';
  return `
This is nbdsh, a shell for talking to NBD servers in JavaScript and TypeScript.
${handle}All of nbdpipe is there, also as nbd.

${lines.join('\n')}

`;
}
