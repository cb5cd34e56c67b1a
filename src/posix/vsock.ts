/** Sockets between a virtual machine and its host (AF_VSOCK), which Node knows nothing of. */
import { closeSync } from 'node:fs';
import net from 'node:net';
import { BlockError } from '../block/errors.ts';
import { type CFunction, callAsync, lastError, libcFunction } from './libc.ts';
import { streamHandle } from './stream-handle.ts';

const AF_VSOCK = 40;
const SOCK_STREAM = 1;
const SOCK_CLOEXEC = 0o2000000;
const ANY = 0xffffffff;
const BACKLOG = 511;

const socket = libcFunction('int socket(int family, int type, int protocol)');
const connect = libcFunction('int connect(int fd, void *address, uint length)');
const bind = libcFunction('int bind(int fd, void *address, uint length)');
const getsockname = libcFunction('int getsockname(int fd, void *address, void *length)');
const getpeername = libcFunction('int getpeername(int fd, void *address, void *length)');

/** The end of a connection: a machine by its context identifier, and a port. */
export interface VsockAddress {
  readonly cid: number;
  readonly port: number;
}

/**
 * Makes a server listen, as its `listen` does.
 * @param port 0 takes a free one.
 * @returns the port.
 * @throws BlockError ENOTSUP where the system has no such sockets; SystemError
 */
export function listenVsock(server: net.Server, port: number): number {
  const fd = opened();
  try {
    const address = structOf({ cid: ANY, port: port === 0 ? ANY : port });
    if (bind()!(fd, address, address.length) < 0) throw lastError('bind');
    const bound = addressBy(getsockname()!, fd);
    adopt(server, fd);
    return bound.port;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/**
 * Connects to a machine; that takes a thread of libuv's until it is done. Nothing is read yet.
 * @throws BlockError ENOTSUP where the system has no such sockets; SystemError
 */
export async function connectVsock(address: VsockAddress): Promise<net.Socket> {
  const fd = opened();
  try {
    const bytes = structOf(address);
    await callAsync('connect', connect()!, fd, bytes, bytes.length);
    const handle = streamHandle(fd, 'SOCKET');
    const untouched = { handle, readable: false, writable: false };
    return new net.Socket(untouched as net.SocketConstructorOpts);
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

function opened(): number {
  const fd = socket()?.(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0) ?? -1;
  if (fd < 0) throw new BlockError('ENOTSUP', 'this system has no AF_VSOCK sockets');
  return fd;
}

/** Who is at the other end of a connection. */
export function vsockPeer(fd: number): VsockAddress {
  return addressBy(getpeername()!, fd);
}

/** What net.Server has inside; its `listen` takes no such descriptor. */
interface Inside {
  _handle: unknown;
  _listen2(address: null, port: -1, type: -1, backlog: number): void;
}

function adopt(server: net.Server, fd: number): void {
  const inside = server as unknown as Inside;
  inside._handle = streamHandle(fd, 'SERVER');
  inside._listen2(null, -1, -1, BACKLOG);
}

/** struct sockaddr_vm, in the byte order of all machines that Node runs on. */
function structOf({ cid, port }: VsockAddress): Buffer {
  const bytes = Buffer.alloc(16);
  bytes.writeUInt16LE(AF_VSOCK, 0);
  bytes.writeUInt32LE(port, 4);
  bytes.writeUInt32LE(cid, 8);
  return bytes;
}

function addressBy(call: CFunction, fd: number): VsockAddress {
  const bytes = Buffer.alloc(16);
  const length = Buffer.from([bytes.length, 0, 0, 0]);
  if (call(fd, bytes, length) < 0) throw lastError('getsockname');
  return { port: bytes.readUInt32LE(4), cid: bytes.readUInt32LE(8) };
}
