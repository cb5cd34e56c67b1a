import { existsSync, linkSync, lstatSync, mkdtempSync, rmdirSync, unlinkSync } from 'node:fs';
import { type AddressInfo, isIP } from 'node:net';
import { dirname, join, resolve } from 'node:path';
import { BlockError, messageOf, UsageError } from '../../block/errors.ts';
import type { UriAddress } from '../../protocol/uri.ts';
import type { ListenAddress, Server } from '../../server/server.ts';
import type { Where } from './options.ts';

/** How this machine calls itself, in AF_VSOCK. */
const LOCAL_CID = 1;
export const FIRST_INHERITED = 3;
/** What fits in sockaddr_un, in bytes, with its NUL. */
const MAX_SOCKET_PATH = 108;

/** A server that can be reached. */
export interface Listening {
  /** Where clients find it; absent for inherited sockets. */
  readonly address?: UriAddress;
  /** Made for the socket. */
  readonly privateDirectory?: string;
  /** Removes what was made, when the server has ended. */
  remove?(): void;
}

/** How many listening sockets the parent passed on (systemd's protocol); taken only once. */
export function takeInherited(): number {
  const { LISTEN_PID: pid, LISTEN_FDS: count } = process.env;
  if (pid === undefined || count === undefined || Number(pid) !== process.pid) return 0;
  delete process.env.LISTEN_PID;
  delete process.env.LISTEN_FDS;
  delete process.env.LISTEN_FDNAMES;
  if (!/^[1-9]\d{0,3}$/.test(count)) {
    throw new UsageError(`LISTEN_FDS: cannot parse '${count}': expected a number of sockets`);
  }
  return Number(count);
}

/**
 * Listens where the options say.
 * @throws UsageError naming the address.
 */
export async function listen(
  server: Server,
  where: Exclude<Where, { kind: 'stdio' }>,
): Promise<Listening> {
  if (where.kind === 'inherited') return listenInherited(server, where.count);
  if (where.kind === 'unix') return listenUnix(server, where.path);
  if (where.kind === 'vsock') return listenVsock(server, where.port);
  return listenTcp(server, where);
}

async function listenInherited(server: Server, count: number): Promise<Listening> {
  for (let index = 0; index < count; index++) {
    const fd = FIRST_INHERITED + index;
    await named(`inherited socket ${fd}`, server.listen({ fd }));
  }
  return {};
}

async function listenUnix(server: Server, given: string | undefined): Promise<Listening> {
  if (given === undefined) return listenPrivate(server);
  const path = resolve(given);
  if (Buffer.byteLength(path) >= MAX_SOCKET_PATH) {
    const right = `expected at most ${MAX_SOCKET_PATH - 1} bytes`;
    throw new UsageError(`${path}: the path of a Unix socket is too long: ${right}`);
  }
  // The system calls this "permission denied".
  if (!existsSync(dirname(path))) throw new UsageError(`${path}: no such directory`);
  return { address: { path }, remove: await named(path, bind(server, path)) };
}

/**
 * Listens under another name first, as the system's library removes the name that it knows when the
 * server ends, and by then that may be the socket of the next server.
 * @returns what removes the socket, if it is still this one.
 */
async function bind(server: Server, path: string): Promise<() => void> {
  const hidden = join(dirname(path), `.${process.pid.toString(36)}`);
  if (existsSync(path)) throw Object.assign(new Error(), { code: 'EADDRINUSE' });
  await server.listen({ path: hidden });
  const own = lstatSync(hidden);
  try {
    linkSync(hidden, path);
  } finally {
    unlinkSync(hidden);
  }
  return () => {
    const now = lstatSync(path, { throwIfNoEntry: false });
    if (now?.dev === own.dev && now.ino === own.ino) attempt(() => unlinkSync(path));
  };
}

/** What cannot be removed, with another user's rights, stays. */
function attempt(remove: () => void): void {
  try {
    remove();
  } catch {}
}

async function listenPrivate(server: Server): Promise<Listening> {
  const privateDirectory = mkdtempSync('/tmp/nbdkit');
  const path = join(privateDirectory, 'socket');
  await named(path, server.listen({ path }));
  const remove = () => attempt(() => rmdirSync(privateDirectory));
  return { address: { path }, privateDirectory, remove };
}

async function listenVsock(server: Server, port: number): Promise<Listening> {
  const found = await named(`vsock port ${port}`, server.listen({ vsockPort: port }));
  return { address: { cid: LOCAL_CID, port: (found as AddressInfo).port } };
}

async function listenTcp(
  server: Server,
  { port, address, family }: Extract<Where, { kind: 'tcp' }>,
): Promise<Listening> {
  const hosts = address === undefined ? [anyHost(family)] : await resolveAll(address, family);
  let bound = port;
  for (const host of hosts) {
    const shown = host === undefined ? `port ${bound}` : `${host} port ${bound}`;
    const place: ListenAddress = { host, port: bound, ipv6Only: family === 6 };
    const found = await named(shown, server.listen(place));
    if (found !== null && typeof found === 'object') bound = found.port;
  }
  return { address: { host: address ?? 'localhost', port: bound } };
}

function anyHost(family: 4 | 6 | undefined): string | undefined {
  return family === undefined ? undefined : family === 4 ? '0.0.0.0' : '::';
}

async function resolveAll(name: string, family: 4 | 6 | undefined): Promise<string[]> {
  const literal = isIP(name);
  if (literal !== 0 && family !== undefined && literal !== family) {
    throw new UsageError(`${name}: is not an IPv${family} address`);
  }
  const { lookup } = await import('node:dns/promises');
  const found = await named(name, lookup(name, { all: true, family: family ?? 0 }));
  return [...new Set(found.map(({ address }) => address))];
}

const WORDS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'address already in use',
  EEXIST: 'address already in use',
  EADDRNOTAVAIL: 'no such address on this machine',
  EACCES: 'permission denied',
  ENOTFOUND: 'no such host',
};

/** Names the address that something went wrong with. */
async function named<T>(what: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? '';
    throw new BlockError('EIO', `${what}: ${WORDS[code] ?? messageOf(error)}`, { cause: error });
  }
}
