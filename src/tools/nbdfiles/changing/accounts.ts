import { randomInt } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, posix } from 'node:path';
import { BlockError, errnoOf, reasonOf, UsageError } from '../../../block/errors.ts';
import { newSalt, sha512Crypt } from './crypt.ts';
import type { Editor } from './editor.ts';
import { asBytes, contentIn, neededContent, rewrite } from './text-file.ts';

const RANDOM_LETTERS = 'ABCDEFGHIJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789';
const RANDOM_LENGTH = 16;

/** Told what a password is that nobody chose. */
export type Told = (words: string) => void;

/**
 * Sets the password of a user.
 * @param selector `password:TEXT`, `file:NAME`, `random`, `disabled`, or `locked:` before one of these.
 * @throws UsageError; BlockError ENOENT there is no such user.
 */
export async function setPassword(
  editor: Editor,
  user: string,
  selector: string,
  told: Told,
): Promise<void> {
  const locked = /^locked(?::(.*))?$/s.exec(selector);
  const rest = locked ? locked[1] : selector;
  const hash = rest === undefined ? undefined : hashFor(user, rest, told);
  let found = false;
  await rewrite(editor, '/etc/shadow', text =>
    text
      .split('\n')
      .map(line => {
        const [name, old = '', ...fields] = line.split(':');
        if (name !== asBytes(user)) return line;
        found = true;
        const field = hash ?? old.replace(/^!*/, '');
        return [name, locked ? `!!${field}` : field, ...fields].join(':');
      })
      .join('\n'),
  );
  if (!found) throw new BlockError('ENOENT', `/etc/shadow: there is no user ${user}`);
}

function hashFor(user: string, selector: string, told: Told): string {
  const [kind, value] = split(selector);
  if (kind === 'disabled' && value === undefined) return '*';
  if (kind === 'random' && value === undefined) {
    const letters = Array.from({ length: RANDOM_LENGTH }, () => RANDOM_LETTERS[randomLetter()]);
    told(`the password of ${user} is ${letters.join('')}`);
    return sha512Crypt(letters.join(''), newSalt());
  }
  if (kind === 'password' && value) return sha512Crypt(value, newSalt());
  if (kind === 'file' && value) return sha512Crypt(firstLine(value), newSalt());
  // What was given may be the password itself, which is not repeated.
  throw new UsageError('expected password:TEXT, file:NAME, random, disabled or locked');
}

const randomLetter = () => randomInt(RANDOM_LETTERS.length);

function firstLine(name: string): string {
  const line = localFile(name).split('\n')[0]!;
  if (line === '') throw new UsageError(`${name}: its first line is empty`);
  return line;
}

function split(selector: string): [kind: string, value: string | undefined] {
  const colon = selector.indexOf(':');
  return colon < 0 ? [selector, undefined] : [selector.slice(0, colon), selector.slice(colon + 1)];
}

function localFile(name: string): string {
  try {
    return readFileSync(name, 'utf8');
  } catch (error) {
    throw new BlockError(errnoOf(error), `${name}: ${reasonOf(error)}`, { cause: error });
  }
}

/**
 * Lets the owner of a key log in as a user, by ~/.ssh/authorized_keys.
 * @param selector `file:NAME` or `string:KEY`; undefined: whoever calls the program.
 * @throws UsageError; BlockError ENOENT there is no such user.
 */
export async function injectKey(
  editor: Editor,
  user: string,
  selector: string | undefined,
): Promise<void> {
  const key = keyOf(selector).trim();
  if (key === '') throw new UsageError('--ssh-inject: the key is empty');
  const { uid, gid, home } = await accountOf(editor, user);
  const folder = posix.join(home, '.ssh');
  if (!(await editor.existing(folder))) await editor.mkdir(folder, { uid, gid, mode: 0o700 });
  const path = posix.join(folder, 'authorized_keys');
  const before = await contentIn(editor, path);
  const text = before?.toString('latin1') ?? '';
  const content = Buffer.from(`${endedLine(text)}${asBytes(key)}\n`, 'latin1');
  await editor.write(path, before ? { content } : { content, uid, gid, mode: 0o600 });
}

/** Text whose last line has an end. */
export const endedLine = (text: string) =>
  text === '' || text.endsWith('\n') ? text : `${text}\n`;

function keyOf(selector: string | undefined): string {
  if (selector === undefined) return ownKey();
  const [kind, value] = split(selector);
  if (kind === 'string' && value) return value;
  if (kind === 'file' && value) return localFile(value);
  throw new UsageError('--ssh-inject: expected USER, USER:file:NAME or USER:string:KEY');
}

/** As ssh-copy-id finds it. */
function ownKey(): string {
  const folder = join(homedir(), '.ssh');
  try {
    const name = readdirSync(folder).find(entry => /^id.*\.pub$/.test(entry));
    if (name !== undefined) return readFileSync(join(folder, name), 'utf8');
  } catch {
    // There is no folder.
  }
  throw new UsageError('--ssh-inject: there is no ~/.ssh/id*.pub: say file:NAME');
}

async function accountOf(editor: Editor, user: string) {
  const lines = (await neededContent(editor, '/etc/passwd')).toString('latin1').split('\n');
  const [, , uid, gid, , home] =
    lines.map(line => line.split(':')).find(([name]) => name === asBytes(user)) ?? [];
  if (!home?.startsWith('/')) {
    throw new BlockError('ENOENT', `/etc/passwd: there is no user ${user} with a home`);
  }
  return { uid: Number(uid), gid: Number(gid), home };
}
