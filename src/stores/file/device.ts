import { close, fdatasync, ftruncate, read, write } from 'node:fs';
import { promisify } from 'node:util';
import { zeroes } from '../../block/data.ts';
import type { BlockDevice, Data, Memory, ReadOptions } from '../../block/device.ts';
import { BlockError } from '../../block/errors.ts';
import { CachedIo } from '../../posix/cached-io.ts';
import { advise, writeOutAndDrop } from '../../posix/fadvise.ts';
import { farWrite } from '../../posix/far-write.ts';
import { type DataRun, fileExtents, isHole } from '../../posix/holes.ts';
import type { OpenFile } from './open.ts';
import { Zeroing } from './zeroing.ts';

/** How the page cache is used. */
export interface Caching {
  readonly cache: 'default' | 'none';
  readonly fadvise: 'normal' | 'random' | 'sequential';
}

/** Longer requests are left to a thread, which copies while the server goes on. */
const AT_ONCE = 1 << 20;
/** Up to here, memory comes from Node's pool. */
const SMALL = 4 << 10;
const linux = process.platform === 'linux';

const closeAsync = promisify(close);
const sync = promisify(fdatasync);
const truncate = promisify(ftruncate);

const ORDINARY: Caching = { cache: 'default', fadvise: 'normal' };

/** An open file as a device, which closes it. */
export function fileDevice(file: OpenFile, caching = ORDINARY): BlockDevice {
  const { fd } = file;
  const { cache, fadvise } = caching;
  const keep = cache === 'default';
  if (fadvise !== 'normal') advise(fd, fadvise, 0n, 0);
  const cached = new CachedIo(fd);
  const reader = new Reader(file, cached);
  const common = {
    size: file.size,
    rotational: file.rotational,
    multiConn: true,
    opaque: true,
    recipe: { by: 'file', from: { file, caching } },
    read: keep
      ? (offset: bigint, length: number, options?: ReadOptions) =>
          reader.read(offset, length, options?.memory)
      : async (offset: bigint, length: number, options?: ReadOptions) => {
          const data = await reader.read(offset, length, options?.memory);
          advise(fd, 'dontNeed', offset, length);
          return data;
        },
    ...(linux && {
      cache: (offset: bigint, length: number) => advise(fd, 'willNeed', offset, length),
    }),
    ...(linux &&
      !file.blockDevice && {
        extents: (offset: bigint, length: number) =>
          fileExtents(fd, offset, length, reader.lastRun),
      }),
    ...(!file.shared && { close: () => closeAsync(fd) }),
  };
  if (!file.writable) return common;

  const put = (offset: bigint, data: Uint8Array): void | Promise<void> => {
    const done = data.length > AT_ONCE ? 0 : (cached.write(data, offset) ?? 0);
    if (keep && done === data.length) return;
    return putRest(fd, offset, data, done, keep);
  };
  const zeroing = new Zeroing(file, put);
  return {
    ...common,
    get size() {
      return reader.size;
    },
    ...(!file.blockDevice && { resize: size => reader.resize(size) }),
    fua: 'native',
    fastZero: 'native',
    write: (offset, data, options) => {
      const written = put(offset, data);
      if (!options?.fua) return written;
      return Promise.resolve(written).then(() => sync(fd));
    },
    flush: () => sync(fd),
    zero: async (offset, length, options) => {
      if (options?.mayTrim) reader.expectHoles();
      await zeroing.zero(offset, length, options);
      if (options?.fua) await sync(fd);
    },
    ...(linux && {
      trim: async (offset, length, options) => {
        reader.expectHoles();
        await zeroing.trim(offset, length);
        if (options?.fua) await sync(fd);
      },
    }),
  };
}

/** Makes a file's device again, in another thread than that which opened the file and closes it. */
export function remakeFile(from: { file: OpenFile; caching: Caching }): BlockDevice {
  return fileDevice({ ...from.file, shared: true }, from.caching);
}

/** Size and bytes of one open file. */
class Reader {
  readonly #fd: number;
  readonly #cached: CachedIo;
  /** The end of the file as it was opened or made since. */
  size: bigint;
  readonly #mayHaveHoles: boolean;
  readonly lastRun: DataRun = { start: 0n, end: 0n };
  /** Holes are looked for before reading. */
  #sparse: boolean;

  constructor(file: OpenFile, cached: CachedIo) {
    this.#fd = file.fd;
    this.#cached = cached;
    this.size = file.size;
    this.#mayHaveHoles = linux && !file.blockDevice;
    this.#sparse = this.#mayHaveHoles && file.sparse;
  }

  /** Where there was data there may be a hole now. */
  expectHoles(): void {
    this.#sparse = this.#mayHaveHoles;
    this.lastRun.end = 0n;
  }

  /** What is new is a hole. */
  async resize(size: bigint): Promise<void> {
    if (size > Number.MAX_SAFE_INTEGER) throw new BlockError('ENOSPC', 'files are not so large');
    await truncate(this.#fd, Number(size));
    this.size = size;
    this.expectHoles();
  }

  /** Holes as known zeroes, cached bytes at once, the rest when the disk has given it. */
  read(offset: bigint, length: number, memory?: Memory): Data | Promise<Data> {
    if (this.#sparse && isHole(this.#fd, offset, length, this.size)) return zeroes(length);
    const bytes = memory?.(length) ?? allocate(length);
    const done = length > AT_ONCE ? 0 : (this.#cached.read(bytes, offset) ?? 0);
    return done === length ? bytes : this.#readRest(bytes, offset, done);
  }

  async #readRest(bytes: Uint8Array, offset: bigint, start: number): Promise<Uint8Array> {
    for (let done = start; done < bytes.length; ) {
      const position = offset + BigInt(done);
      const count = await readPart(this.#fd, bytes, done, position);
      if (count === 0) {
        const why = 'unexpected end of the file: it was cut short while it was served';
        throw new BlockError('EIO', `read at offset ${position}: ${why}`, { offset: position });
      }
      done += count;
    }
    return bytes;
  }
}

function allocate(length: number): Buffer {
  return length > SMALL ? Buffer.allocUnsafeSlow(length) : Buffer.allocUnsafe(length);
}

function readPart(fd: number, bytes: Uint8Array, start: number, position: bigint): Promise<number> {
  return new Promise((resolve, reject) => {
    read(fd, bytes, start, bytes.length - start, position, (error, count) => {
      if (error) reject(error);
      else resolve(count);
    });
  });
}

async function putRest(
  fd: number,
  offset: bigint,
  data: Uint8Array,
  done: number,
  keep: boolean,
): Promise<void> {
  await writeAll(fd, offset + BigInt(done), data.subarray(done));
  if (!keep) await writeOutAndDrop(fd, offset, data.length);
}

async function writeAll(fd: number, offset: bigint, data: Uint8Array): Promise<void> {
  for (let done = 0; done < data.length; ) {
    done += await writePart(fd, offset + BigInt(done), data.subarray(done));
  }
}

function writePart(fd: number, offset: bigint, data: Uint8Array): Promise<number> {
  if (offset > Number.MAX_SAFE_INTEGER) return farWrite(fd, data, offset);
  return new Promise((resolve, reject) => {
    write(fd, data, 0, data.length, Number(offset), (error, count) => {
      if (error) reject(error);
      else resolve(count);
    });
  });
}
