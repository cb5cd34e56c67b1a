/** Libraries of others' may need variables that a process must begin with: it begins again. */
import { readFileSync, writeSync } from 'node:fs';
import { lastError, libcFunction } from '../../posix/libc.ts';
import { descriptorsNamedIn, READY_FD } from './background.ts';
import { FIRST_INHERITED } from './listen.ts';
import { passwordsTaken } from './parameter-reader.ts';

/** Tells the second process what the variables were that it has other values of. */
const MARKER = 'NBDPIPE_ENVIRONMENT';
const F_SETFD = 2;

const execve = libcFunction('int execve(const char *path, const char **words, const char **env)');
const fcntl = libcFunction('int fcntl(int fd, int command, int flags)');
const memfdCreate = libcFunction('int memfd_create(const char *name, unsigned int flags)');

type Variables = Readonly<Record<string, string>>;

/**
 * What starts this command again, with more variables; undefined where that cannot be done, or was
 * done: then what it starts itself gets the variables that it was given.
 */
export function restarter(): ((variables: Variables) => void) | undefined {
  const before = process.env[MARKER];
  if (before === undefined) return process.platform === 'linux' ? restart : undefined;
  delete process.env[MARKER];
  for (const [name, value] of Object.entries(JSON.parse(before))) {
    if (value === null) delete process.env[name];
    else process.env[name] = String(value);
  }
  return undefined;
}

/** @throws SystemError */
function restart(variables: Variables): void {
  const before = Object.keys(variables).map(name => [name, process.env[name] ?? null]);
  // As they were at the start: much of both is taken by now.
  const given = stringsOf('/proc/self/environ').map(text => text.split(/=(.*)/s, 2));
  const words = stringsOf('/proc/self/cmdline');
  const env = {
    ...(Object.fromEntries(given) as NodeJS.ProcessEnv),
    ...variables,
    [MARKER]: JSON.stringify(Object.fromEntries(before)),
  };
  // Node has seen to it that no program inherits what it has inherited.
  for (const fd of [...inheritedBy(env), ...descriptorsNamedIn(words)]) fcntl()?.(fd, F_SETFD, 0);
  const strings = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  const again = words.map(word => wordAgain(word) ?? word);
  execve()?.(process.execPath, [...again, null] as never, [...strings, null] as never);
  if (execve()) throw lastError('execve');
}

function stringsOf(file: string): string[] {
  return readFileSync(file, 'utf8').split('\0').slice(0, -1);
}

/** Standard streams, sockets to listen on, and what tells that the server is ready. */
function inheritedBy({ LISTEN_FDS: sockets, [READY_FD]: ready }: NodeJS.ProcessEnv): number[] {
  const count = FIRST_INHERITED + (Number(sockets) || 0);
  return [...Array(count).keys(), ...(ready === undefined ? [] : [Number(ready)])];
}

/** A password that was typed, or came from a descriptor, can be read once only. */
function wordAgain(word: string): string | undefined {
  const password = passwordsTaken.get(word);
  if (password === undefined) return undefined;
  const fd = memfdCreate()!('password', 0);
  if (fd < 0) throw lastError('memfd_create');
  writeSync(fd, password, 0);
  return `${word.split('=', 1)[0]}=-${fd}`;
}
