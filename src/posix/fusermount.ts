/** fusermount3, which mounts and unmounts for users other than root. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { BlockError } from '../block/errors.ts';
import type { FuseMountOptions, Mounted } from './fuse-mount.ts';
import { addressOf, callAsync, libcFunction } from './libc.ts';
import { findProgram } from './program.ts';
import { socketPair } from './socket-pair.ts';

const SCM_RIGHTS = 1;
const SOL_SOCKET = 1;
const MSG_CMSG_CLOEXEC = 0x40000000;

const recvmsg = libcFunction('int64_t recvmsg(int fd, void *message, int flags)');

/** @throws BlockError there is no fusermount3, or it refuses. */
export async function mountByHelper(point: string, options: FuseMountOptions): Promise<Mounted> {
  const helper = findProgram('fusermount3');
  if (!helper) {
    throw new BlockError('ENOENT', 'fusermount3 is not installed: users other than root need it');
  }
  const [ours, theirs] = socketPair()!;
  const child = spawn(helper, ['-o', wordsOf(options).join(','), '--', point], {
    stdio: ['ignore', 'ignore', 'pipe', theirs],
    argv0: 'fusermount3',
    env: { ...process.env, _FUSE_COMMFD: '3' },
  });
  child.on('error', () => {});
  closeSync(theirs);
  const complaint = text(child.stderr!);
  const fd = await receiveDescriptor(ours).finally(() => closeSync(ours));
  if (fd === undefined) {
    const line = (await complaint).trim().split('\n').at(-1);
    throw new BlockError('EPERM', line || `${helper} does not mount it`);
  }
  const words = ['-u', '-q', '-z', '--', point];
  const unmount = async () => {
    await once(spawn(helper, words, { stdio: 'ignore' }), 'close').catch(() => {});
  };
  return { fd, unmount, byCommand: [helper, ...words] };
}

function wordsOf({ source, type, readOnly, executable, kernel }: FuseMountOptions) {
  return [
    readOnly ? 'ro' : 'rw',
    'nosuid',
    'nodev',
    ...(executable ? [] : ['noexec']),
    `fsname=${source}`,
    `subtype=${type}`,
    ...kernel,
  ];
}

/** A descriptor that the other end sends; undefined when it hangs up instead. */
async function receiveDescriptor(socket: number): Promise<number | undefined> {
  const byte = Buffer.alloc(1);
  const pieces = BigUint64Array.of(addressOf(byte), 1n);
  const control = Buffer.alloc(24);
  // struct msghdr: no name, the pieces and how many, the control data and how much.
  const message = Buffer.alloc(56);
  message.writeBigUInt64LE(addressOf(new Uint8Array(pieces.buffer)), 16);
  message.writeBigUInt64LE(1n, 24);
  message.writeBigUInt64LE(addressOf(control), 32);
  message.writeBigUInt64LE(BigInt(control.length), 40);
  const count = await callAsync('recvmsg', recvmsg()!, socket, message, MSG_CMSG_CLOEXEC);
  const sent = count > 0 && control.readInt32LE(8) === SOL_SOCKET;
  return sent && control.readInt32LE(12) === SCM_RIGHTS ? control.readInt32LE(16) : undefined;
}
