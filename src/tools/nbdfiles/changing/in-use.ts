import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  openSync,
  readdirSync,
  readFileSync,
  realpathSync,
} from 'node:fs';
import { join } from 'node:path';
import { BlockError, errnoOf, messageOf, reasonOf } from '../../../block/errors.ts';
import { ALONE, useFile } from '../../../stores/file/image-lock.ts';
import { isFile, type Source } from '../sources.ts';

const BLOCK_DEVICES = '/sys/block';

/**
 * Keeps the files of disks from being used by others.
 * @returns what ends that. @throws BlockError EBUSY somebody uses one: as a loop or mounted block device, or a program that
 * locks what it uses, as qemu does.
 */
export function claim(sources: readonly Source[]): () => void {
  const releases: (() => void)[] = [];
  const release = () => {
    for (const each of releases) each();
  };
  try {
    for (const { what } of sources) {
      // What is not there is told of when it is opened.
      if (!isFile(what) || !existsSync(what)) continue;
      const loop = loopOver(realpathSync(what));
      if (loop !== undefined) throw inUse(what, `/dev/${loop} shows it`);
      const fd = openAlone(what);
      releases.push(() => closeSync(fd));
      releases.push(lockAlone(fd, what));
    }
  } catch (error) {
    release();
    throw error;
  }
  return release;
}

function lockAlone(fd: number, name: string): () => void {
  const { dev, ino } = fstatSync(fd, { bigint: true });
  try {
    return useFile({ fd, identity: `${dev}:${ino}`, name }, ALONE);
  } catch (error) {
    throw inUse(name, `another program has locked it: ${messageOf(error)}`);
  }
}

function openAlone(name: string): number {
  try {
    // Of a block device that is mounted there is no such descriptor.
    return openSync(name, constants.O_RDWR | constants.O_EXCL | constants.O_NONBLOCK);
  } catch (error) {
    if (errnoOf(error) === 'EBUSY') throw inUse(name, 'it is mounted');
    throw new BlockError(errnoOf(error), `${name}: ${reasonOf(error)}`, { cause: error });
  }
}

function inUse(name: string, why: string): BlockError {
  return new BlockError('EBUSY', `${name}: is in use: ${why}`);
}

/** The loop device that shows a file. */
function loopOver(path: string): string | undefined {
  return loops().find(name => {
    try {
      const file = join(BLOCK_DEVICES, name, 'loop/backing_file');
      return readFileSync(file, 'utf8').trim() === path;
    } catch {
      return false;
    }
  });
}

function loops(): string[] {
  try {
    return readdirSync(BLOCK_DEVICES).filter(name => name.startsWith('loop'));
  } catch {
    return [];
  }
}
