/** fusermount3, which mounts and unmounts for users other than root. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { BlockError } from '../block/errors.ts';
import { waitForDescriptor } from './descriptor-passing.ts';
import type { FuseMountOptions, Mounted } from './fuse-mount.ts';
import { findProgram } from './program.ts';
import { socketPair } from './socket-pair.ts';

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
  const fd = await waitForDescriptor(ours).finally(() => closeSync(ours));
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
