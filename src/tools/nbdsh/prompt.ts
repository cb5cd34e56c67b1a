import { homedir } from 'node:os';
import { join } from 'node:path';
import { type REPLEval, Recoverable, start } from 'node:repl';
import { withoutTypes } from './compile.ts';
import { help } from './help.ts';
import { exitStatus, type Shell } from './shell.ts';

/**
 * Reads commands from a terminal, or from standard input, until there are no more.
 * @returns the exit status.
 */
export function prompt(shell: Shell): Promise<number> {
  const welcome = 'This is nbdsh, a shell for talking to NBD servers in JavaScript and TypeScript.';
  process.stdout.write(`\n${welcome}\n${help(shell.hasHandle)}\n\n`);
  const server = start({ prompt: 'nbd> ', useGlobal: true, ignoreUndefined: true });
  const plainly = server.eval;
  let status: number | undefined;
  // What is thrown at the prompt does not come to its caller.
  shell.define('exit', (given?: unknown) => {
    status = exitStatus(given);
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
