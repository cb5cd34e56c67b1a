import { libcFunction } from './libc.ts';

const SOL_SOCKET = 1;
const SO_PEERCRED = 17;

const getsockopt = libcFunction(
  'int getsockopt(int fd, int level, int option, void *value, void *length)',
);

/** The process at the other end of a Unix socket, as it was when it connected. */
export interface PeerCredentials {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

/** undefined where the system does not say. */
export function peerCredentials(fd: number): PeerCredentials | undefined {
  const value = new Int32Array(3);
  const length = new Uint8Array(Int32Array.of(value.byteLength).buffer);
  const bytes = new Uint8Array(value.buffer);
  if (getsockopt()?.(fd, SOL_SOCKET, SO_PEERCRED, bytes, length) !== 0) return undefined;
  const [pid, uid, gid] = value;
  return { pid: pid!, uid: uid!, gid: gid! };
}
