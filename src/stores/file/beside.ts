import { closeSync, constants, fstatSync, ftruncateSync, openSync } from 'node:fs';
import { dirname, isAbsolute, resolve } from 'node:path';
import type { BlockDevice } from '../../block/device.ts';
import { BlockError } from '../../block/errors.ts';
import { fileDevice } from './device.ts';
import { MAKING, type Use, useFile, useOf } from './image-lock.ts';
import { describeFile, type OpenFile, openFile } from './open.ts';

export interface BesideOptions {
  /** The folder of what has no name of its own. */
  readonly folder?: string | undefined;
  /** Files may lie anywhere, and not only in the folder of the image that names them. */
  readonly anywhere?: boolean | undefined;
}

/** A file of this machine by its name. @throws BlockError what the system says. */
export function namedFile(name: string, readOnly: boolean) {
  const file = openFile(name, readOnly);
  const { identity, device, use } = locking(file, name);
  return {
    device,
    name,
    identity,
    /** Says to other programs how it is used, until it is closed. @throws BlockError EBUSY */
    use: (isRaw: boolean) => use(useOf(isRaw, readOnly)),
  };
}

/**
 * A new, empty file in the place of whatever was called so; a block device as it is.
 * @throws BlockError EBUSY it is in use; what the system says.
 */
export function createdFile(path: string): BlockDevice {
  const fd = openSync(path, constants.O_RDWR | constants.O_CREAT, 0o644);
  const found = describeFile(fd, path, { writable: true, shared: false });
  const isNew = !found.blockDevice;
  try {
    const file = isNew ? { ...found, size: 0n, sparse: false } : found;
    const { device, use } = locking(file, path);
    use(MAKING);
    if (isNew) ftruncateSync(fd);
    return device;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** A file whose locks end when it is closed. */
function locking(file: OpenFile, name: string) {
  const { dev, ino } = fstatSync(file.fd, { bigint: true });
  const identity = `${dev}:${ino}`;
  const device = fileDevice(file);
  const { close } = device;
  let release: (() => void) | undefined;
  Object.assign(device, {
    close: () => {
      release?.();
      release = undefined;
      return close?.call(device);
    },
  });
  const use = (how: Use) => {
    release ??= useFile({ fd: file.fd, identity, name }, how);
  };
  return { identity, device, use };
}

/** Opens the files that images name, by plain names beside the image. */
export function filesBeside({ folder, anywhere = false }: BesideOptions = {}) {
  const pathOf = (name: string, from: string | undefined) => {
    const where = from === undefined ? folder : dirname(from);
    refuse(name, where, anywhere);
    return resolve(where ?? '.', name.replace(/^file:/, ''));
  };
  return {
    open: async (name: string, from: string | undefined, readOnly: boolean) =>
      namedFile(pathOf(name, from), readOnly),
    create: async (name: string, from: string | undefined) => createdFile(pathOf(name, from)),
  };
}

function refuse(name: string, where: string | undefined, anywhere: boolean): void {
  const why = reasonAgainst(name, where, anywhere);
  if (why) throw new BlockError('EPERM', `the image names '${name}': ${why}`);
}

function reasonAgainst(name: string, where: string | undefined, anywhere: boolean) {
  if (name === '' || name.includes('\0')) return 'that is not the name of a file';
  if (/^(?!file:)[a-z][a-z0-9+.-]*:/i.test(name)) return 'images may name files only';
  if (anywhere) return undefined;
  if (where === undefined) return 'the folder in which to look for it was not said';
  const path = name.replace(/^file:/, '');
  if (isAbsolute(path) || path.split('/').includes('..')) return 'it lies in another folder';
  return undefined;
}
