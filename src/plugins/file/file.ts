import { opendirSync, statSync } from 'node:fs';
import type { DeviceSource } from '../../block/device.ts';
import { BlockError, UsageError } from '../../block/errors.ts';
import { definePlugin } from '../../declare/declare.ts';
import { type Caching, fileDevice } from '../../stores/file/device.ts';
import { isServable, openFile, sharedDescriptor, statOf } from '../../stores/file/open.ts';

/** What only Linux can do. */
const LINUX = process.platform === 'linux' ? 'yes' : 'no';

export default definePlugin({
  name: 'file',
  description: 'a file or block device, or each of those in a directory as an export',
  parameters: {
    file: { type: 'path', bare: true, help: 'File or block device to serve' },
    dir: {
      type: 'path',
      aliases: ['directory'],
      help: 'Directory whose files to serve, chosen by export name',
    },
    fd: { type: 'integer', minimum: 0, help: 'Open file descriptor to serve' },
    dirfd: { type: 'integer', minimum: 0, help: 'As dir, an open file descriptor' },
    cache: {
      type: 'string',
      choices: ['default', 'none'],
      default: 'default',
      help: 'none: keep what was read or written out of the page cache',
    },
    fadvise: {
      type: 'string',
      choices: ['normal', 'random', 'sequential'],
      default: 'normal',
      help: 'In which order the file will be read',
    },
  },
  facts: () => ({
    file_blksszget: LINUX,
    file_blkzeroout: LINUX,
    file_extents: LINUX,
    file_falloc_fl_punch_hole: LINUX,
    file_falloc_fl_zero_range: LINUX,
  }),
  create({ file, dir, fd, dirfd, cache, fadvise }) {
    const given = [file, dir, fd, dirfd].filter(value => value !== undefined);
    if (given.length !== 1) {
      const which = given.length === 0 ? 'none was given' : 'they exclude each other';
      throw new UsageError(`expected one of file, dir, fd or dirfd: ${which}`);
    }
    const caching: Caching = { cache, fadvise };
    if (dir !== undefined) return directorySource('dir', dir, caching);
    if (dirfd !== undefined) return directorySource('dirfd', `/proc/self/fd/${dirfd}`, caching);
    if (fd !== undefined) return descriptorSource(fd, caching);
    return fileSource(file!, caching);
  },
});

function fileSource(path: string, caching: Caching): DeviceSource {
  const stat = statOf('file', path);
  if (stat.isDirectory()) {
    throw new UsageError(`file: '${path}' is a directory: use dir= to serve the files in it`);
  }
  if (!isServable(stat)) {
    throw new UsageError(`file: '${path}': expected a regular file or a block device`);
  }
  return { open: ({ readOnly }) => fileDevice(openFile(path, readOnly), caching) };
}

function descriptorSource(fd: number, caching: Caching): DeviceSource {
  const stat = statOf('fd', fd);
  if (!isServable(stat)) {
    throw new UsageError(`fd: descriptor ${fd}: expected a regular file or a block device`);
  }
  return { open: ({ readOnly }) => fileDevice(sharedDescriptor(fd, readOnly), caching) };
}

/** The files directly inside a directory; the client names one, and links are followed. */
function directorySource(key: string, path: string, caching: Caching): DeviceSource {
  if (!statOf(key, path).isDirectory()) {
    throw new UsageError(`${key}: '${path}' is not a directory: use file= to serve one file`);
  }
  return {
    open: ({ exportName, readOnly }) => {
      if (exportName === '' || /[/\0]/.test(exportName)) {
        const why = exportName === '' ? 'there is no default export' : 'not the name of a file';
        throw new BlockError('ENOENT', `export '${exportName}': ${why}`);
      }
      return fileDevice(openFile(`${path}/${exportName}`, readOnly), caching);
    },
    list: () =>
      namesIn(path)
        .filter(name => isServableFile(`${path}/${name}`))
        .map(name => ({ name })),
  };
}

/** In the directory's own order. */
function namesIn(path: string): string[] {
  const names: string[] = [];
  const directory = opendirSync(path);
  try {
    for (let entry = directory.readSync(); entry; entry = directory.readSync()) {
      names.push(entry.name);
    }
  } finally {
    directory.closeSync();
  }
  return names;
}

function isServableFile(path: string): boolean {
  try {
    return isServable(statSync(path));
  } catch {
    return false;
  }
}
