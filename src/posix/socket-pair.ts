import { lastError, libcFunction } from './libc.ts';

const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_CLOEXEC = 0o2000000;

const socketpair = libcFunction('int socketpair(int family, int type, int protocol, void *fds)');

/** Two stream sockets that are connected to each other; undefined where there are none. @throws SystemError */
export function socketPair(): [number, number] | undefined {
  const call = socketpair();
  if (!call) return undefined;
  const fds = new Int32Array(2);
  if (call(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, new Uint8Array(fds.buffer)) < 0) {
    throw lastError('socketpair');
  }
  return [fds[0]!, fds[1]!];
}
