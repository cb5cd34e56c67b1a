import { spawnSync } from 'node:child_process';
import { readFileSync, readSync } from 'node:fs';
import { resolve } from 'node:path';
import { UsageError } from '../../block/errors.ts';
import type { ParameterReader } from '../../declare/parameters.ts';

const MAX_PASSWORD = 1 << 16;

/** Passwords that can be read once only, by the words that stand for them. */
export const passwordsTaken = new Map<string, string>();

/** Reads paths against the directory in which the server was started, and secrets as C does. */
export const PARAMETER_READER: ParameterReader = {
  resolvePath: path => resolve(path),
  readPassword(parameter, value) {
    if (value.startsWith('+')) return firstLine(readFileSync(value.slice(1)));
    if (!value.startsWith('-')) return value;
    const password = value === '-' ? askPassword(parameter) : readFromDescriptor(value);
    passwordsTaken.set(`${parameter}=${value}`, password);
    return password;
  },
};

function readFromDescriptor(value: string): string {
  const fd = Number(/^-(\d+)$/.exec(value)?.[1]);
  if (Number.isNaN(fd)) {
    throw new UsageError(`cannot read a password from '${value}': expected -, -FD or +FILE`);
  }
  if (fd <= 2) throw new UsageError(`cannot read a password from -${fd}: expected 3 or more`);
  return firstLine(readFileSync(fd));
}

function firstLine(bytes: Buffer): string {
  if (bytes.length > MAX_PASSWORD) throw new UsageError('the password is too long');
  return bytes.toString().split(/\r?\n/, 1)[0]!;
}

/** Asks on the terminal without showing what is typed. */
function askPassword(parameter: string): string {
  if (!process.stdin.isTTY)
    throw new UsageError('cannot ask for it: standard input is not a terminal');
  const echo = (setting: string) => spawnSync('stty', [setting], { stdio: [0, 'ignore', 2] });
  process.stderr.write(`${parameter}: `);
  echo('-echo');
  try {
    const line = Buffer.alloc(MAX_PASSWORD);
    const length = readSync(0, line, 0, line.length, null);
    return firstLine(line.subarray(0, length));
  } finally {
    echo('echo');
    process.stderr.write('\n');
  }
}
