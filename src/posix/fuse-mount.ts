import { spawn } from 'node:child_process';
import { closeSync, constants, openSync } from 'node:fs';
import { stat, writeFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { BlockError } from '../block/errors.ts';
import { callAsync, libcFunction } from './libc.ts';

const MS_RDONLY = 1;
const MS_NOSUID = 2;
const MS_NODEV = 4;
const MS_NOEXEC = 8;
const MNT_DETACH = 2;
const UMOUNT_NOFOLLOW = 8;
const DEVICE = '/dev/fuse';

const mount = libcFunction(
  'int mount(const char *source, const char *point, const char *type, ulong flags, const char *data)',
);
const umount2 = libcFunction('int umount2(const char *point, int flags)');

export interface FuseMountOptions {
  /** What lists of mounts call it; without commas. */
  readonly source: string;
  /** After `fuse.` in its type. */
  readonly type: string;
  /** What it is mounted over. */
  readonly over: 'file' | 'folder';
  readonly readOnly: boolean;
  /** Programs in it may be run. */
  readonly executable: boolean;
  /** Options of the kernel's, such as allow_other. */
  readonly kernel: readonly string[];
  /** It is unmounted although this process is killed. */
  readonly autoUnmount: boolean;
}

export interface FuseMount {
  /** /dev/fuse, which the caller closes. */
  readonly fd: number;
  /** Takes it out of the file system, in use or not. Never rejects. */
  unmount(): Promise<void>;
  /** Somebody else has unmounted it. */
  forget(): void;
}

/**
 * Mounts a file system that this process serves: as root by mount(2), else by fusermount3.
 * @param point absolute, without symbolic links.
 * @throws BlockError something is missing or is not allowed.
 */
export async function mountFuse(point: string, options: FuseMountOptions): Promise<FuseMount> {
  if (!mount()) throw new BlockError('ENOTSUP', 'this system has no FUSE');
  const mounted =
    process.geteuid?.() === 0
      ? await mountAsRoot(point, options)
      : await (await import('./fusermount.ts')).mountByHelper(point, options);
  const { fd, unmount, byCommand } = mounted;
  const forget = options.autoUnmount ? whenKilled(byCommand) : () => {};
  return { fd, forget, unmount: () => unmount().finally(forget) };
}

/** A mount, and how it is ended by others. */
export interface Mounted extends Omit<FuseMount, 'forget'> {
  readonly byCommand: readonly string[];
}

/** Has a command run when this process is gone. @returns what takes that back. */
function whenKilled(command: readonly string[]): () => void {
  const child = spawn('/bin/sh', ['-c', 'read -r line; exec "$@"', 'sh', ...command], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  });
  child.unref();
  (child.stdin as Socket).unref();
  return () => void child.kill();
}

async function mountAsRoot(point: string, options: FuseMountOptions): Promise<Mounted> {
  const fd = openDevice();
  const rootMode = options.over === 'folder' ? '40000' : '100000';
  const data = [
    `fd=${fd}`,
    `rootmode=${rootMode}`,
    `user_id=${process.getuid!()}`,
    `group_id=${process.getgid!()}`,
    ...options.kernel,
  ];
  const flags =
    MS_NOSUID |
    MS_NODEV |
    (options.readOnly ? MS_RDONLY : 0) |
    (options.executable ? 0 : MS_NOEXEC);
  const type = `fuse.${options.type}`;
  try {
    await callAsync('mount', mount()!, options.source, point, type, flags, data.join(','));
  } catch (error) {
    closeSync(fd);
    throw error;
  }
  // While this thread serves: what is left to be written is written before it is over.
  const unmount = () => callAsync('umount2', umount2()!, point, MNT_DETACH | UMOUNT_NOFOLLOW);
  const done = () => {};
  const byCommand = ['umount', '-l', '--', point];
  return { fd, unmount: () => unmount().then(done, done), byCommand };
}

function openDevice(): number {
  try {
    return openSync(DEVICE, constants.O_RDWR | constants.O_NONBLOCK);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code !== 'ENOENT' && code !== 'ENODEV' && code !== 'ENXIO') throw cause;
    throw new BlockError('ENOENT', `there is no ${DEVICE}: the kernel needs its module fuse`);
  }
}

/**
 * Has the kernel read ahead so much of a mounted file system, in bytes, where it may be told: as root.
 * Never rejects.
 */
export async function readAhead(point: string, bytes: number): Promise<void> {
  try {
    const { dev } = await stat(point);
    const name = `${(dev >> 8) & 0xfff}:${(dev & 0xff) | ((dev >> 12) & 0xfff00)}`;
    await writeFile(`/sys/class/bdi/${name}/read_ahead_kb`, String(bytes >> 10));
  } catch {
    // It reads ahead what it likes.
  }
}
