import { closeSync, readdirSync, statSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { BlockError, UsageError } from '../../block/errors.ts';
import { PASS, wrapDevice } from '../../block/wrap.ts';
import { DISK_PARAMETERS, diskMaker } from '../../content/new-disk.ts';
import { definePlugin } from '../../declare/declare.ts';
import { lockFile } from '../../posix/lock.ts';
import { fileDevice } from '../../stores/file/device.ts';
import { type OpenFile, openFile, statOf } from '../../stores/file/open.ts';
import { Disks } from './disks.ts';

/** Of the default export. */
const DEFAULT_DISK = 'default';
const NAME_MAX = 255;
/** Milliseconds from one look at a lock to the next. */
const LOOK_AGAIN = 50;

export default definePlugin({
  name: 'ondemand',
  description: 'file systems made when their export name is first used, and kept',
  parameters: {
    ...DISK_PARAMETERS,
    dir: { type: 'path', required: true, help: 'Directory where the disks are kept' },
    wait: { type: 'boolean', default: 'no', help: 'Wait for a disk that is in use' },
    share: { type: 'boolean', default: 'no', help: 'Let several clients use one disk' },
  },
  extra: true,
  create({ dir, wait, share, ...wishes }, { extra, debug }) {
    if (!statOf('dir', dir).isDirectory()) {
      throw new UsageError(`dir: '${dir}': expected a directory`);
    }
    const disks = new Disks(dir, diskMaker(wishes, extra), debug);
    const take = async (name: string, readOnly: boolean): Promise<OpenFile> => {
      for (;;) {
        const file = openFile(await disks.path(name), readOnly);
        if (share || isOurs(file)) return file;
        closeSync(file.fd);
        if (!wait)
          throw new BlockError('EBUSY', `'${name}': filesystem is locked by another client`);
        await delay(LOOK_AGAIN);
      }
    };
    return {
      open: async ({ exportName, readOnly }) => {
        const name = checkedName(exportName || DEFAULT_DISK);
        const file = await take(name, readOnly);
        const multiConn = share || !file.writable;
        return wrapDevice(fileDevice(file), {
          ...PASS,
          multiConn,
        });
      },
      list: () => listed(dir).map(name => ({ name })),
      defaultExport: () => DEFAULT_DISK,
    };
  },
});

/** Readers go together; a writer is alone. The lock goes with the descriptor. */
function isOurs(file: OpenFile): boolean {
  try {
    return lockFile(file.fd, file.writable);
  } catch (error) {
    closeSync(file.fd);
    throw error;
  }
}

/** @throws BlockError ENOENT for names that could lead out of the directory or are hidden in it. */
function checkedName(name: string): string {
  const refused = name.startsWith('.') || /[/\0]/.test(name) || Buffer.byteLength(name) > NAME_MAX;
  if (!refused) return name;
  const shown = name.length > 40 ? `${name.slice(0, 40)}…` : name;
  const right = `at most ${NAME_MAX} bytes, without '/', not starting with '.'`;
  throw new BlockError('ENOENT', `export ${JSON.stringify(shown)}: expected ${right}`);
}

/** The default export, which is there even before its disk is, and the disks that were made. */
function listed(dir: string): string[] {
  const made = readdirSync(dir).filter(name => name !== DEFAULT_DISK && isDisk(dir, name));
  return ['', ...made.sort()];
}

function isDisk(dir: string, name: string): boolean {
  if (name.startsWith('.')) return false;
  try {
    return statSync(`${dir}/${name}`).isFile();
  } catch {
    return false;
  }
}
