/** Descriptors that go from one process to another over a Unix socket (SCM_RIGHTS, unix(7)). */
import { closeSync } from 'node:fs';
import { addressOf, callAsync, koffi, lastError, libcFunction } from './libc.ts';

const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const MSG_CTRUNC = 0x8;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const MSG_CMSG_CLOEXEC = 0x40000000;
const EAGAIN = 11;
/** Of struct cmsghdr with one descriptor, in bytes. */
const CONTROL = 20;
/** Of struct msghdr. */
const MESSAGE = 56;

const sendmsg = libcFunction('int64_t sendmsg(int fd, void *message, int flags)');
const recvmsg = libcFunction('int64_t recvmsg(int fd, void *message, int flags)');

/** One byte and, beside it, one descriptor. */
class Message {
  /** struct msghdr. */
  readonly header = Buffer.alloc(MESSAGE);
  readonly #byte = Buffer.alloc(1);
  readonly #pieces = BigUint64Array.of(addressOf(this.#byte), 1n);
  readonly #control = Buffer.alloc(CONTROL + 4);

  constructor(fd?: number) {
    if (fd !== undefined) {
      this.#control.writeBigUInt64LE(BigInt(CONTROL), 0);
      this.#control.writeInt32LE(SOL_SOCKET, 8);
      this.#control.writeInt32LE(SCM_RIGHTS, 12);
      this.#control.writeInt32LE(fd, 16);
    }
    this.header.writeBigUInt64LE(addressOf(new Uint8Array(this.#pieces.buffer)), 16);
    this.header.writeBigUInt64LE(1n, 24);
    this.header.writeBigUInt64LE(addressOf(this.#control), 32);
    this.header.writeBigUInt64LE(BigInt(CONTROL), 40);
  }

  /** The descriptor that has come, if exactly one has; of more there was no room for the others. */
  received(): number | undefined {
    const control = this.#control;
    const rights =
      this.header.readBigUInt64LE(40) >= CONTROL &&
      control.readInt32LE(8) === SOL_SOCKET &&
      control.readInt32LE(12) === SCM_RIGHTS;
    if (!rights) return undefined;
    const fd = control.readInt32LE(16);
    if ((this.header.readInt32LE(48) & MSG_CTRUNC) === 0) return fd;
    closeSync(fd);
    return undefined;
  }
}

/** Sends one byte with a second descriptor of what `fd` is open for. @throws SystemError */
export function sendDescriptor(socket: number, fd: number): void {
  const message = new Message(fd);
  const sent = sendmsg()!(socket, message.header, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent < 0) throw lastError('sendmsg');
}

/**
 * Takes one byte, and the descriptor with it, which is the caller's to close.
 * @returns 'later' when nothing has come yet, undefined when no descriptor, or more than one, came
 * with it, or the other end has hung up.
 * @throws SystemError
 */
export function takeDescriptor(socket: number): number | 'later' | undefined {
  const message = new Message();
  const count = recvmsg()!(socket, message.header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (count > 0) return message.received();
  if (count === 0) return undefined;
  if (koffi()!.errno() === EAGAIN) return 'later';
  throw lastError('recvmsg');
}

/** As `takeDescriptor`, on a socket of which nobody else waits for anything. */
export async function waitForDescriptor(socket: number): Promise<number | undefined> {
  const message = new Message();
  const count = await callAsync('recvmsg', recvmsg()!, socket, message.header, MSG_CMSG_CLOEXEC);
  return count > 0 ? message.received() : undefined;
}
