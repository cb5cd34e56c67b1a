import { constants as files } from 'node:fs';
import { constants } from 'node:os';
import { andThen } from '../block/answer.ts';
import type { Data, Memory } from '../block/device.ts';
import { errnoOf } from '../block/errors.ts';
import { DiskFile, type FileDisk } from './disk-file.ts';
import {
  type Attributes,
  agree,
  type Entry,
  encodeAttributes,
  encodeEntries,
  encodeEntry,
  encodeLseek,
  encodeOpen,
  encodeStatfs,
  encodeWritten,
} from './replies.ts';
import {
  decodeCaller,
  decodeFallocate,
  decodeIo,
  decodeLseek,
  decodeName,
  decodeOpen,
  decodeSetattr,
  Opcode,
  OpenFlag,
  payloadOf,
  type RequestHeader,
  ROOT,
  SetAttr,
} from './wire.ts';

const { EACCES, EIO, EISDIR, ENOENT, ENOSYS, ENOTDIR, ENXIO, EINVAL, EPERM, EPROTO } =
  constants.errno;
const NOTHING = 0;
const FOLDER_MODE = 0o555;

/** What stands in the answer, or the system's number of an error; 0 is an empty answer. */
export type Reply = Data | number;

export interface FuseOptions {
  readonly uid: number;
  readonly gid: number;
  /** Permissions that nobody has. */
  readonly umask: number;
  /** How long the kernel may keep names and attributes, in seconds. */
  readonly entryTimeout: number;
  readonly attributeTimeout: number;
  /** What the kernel has of a file stays there when it is opened again. */
  readonly keepCache: boolean;
  /** The kernel keeps nothing of files. */
  readonly directIo: boolean;
  /** Nobody but root and who runs this may use it. */
  readonly allowRoot: boolean;
  /** Told of each request that fails because the disk does. */
  readonly onError: (error: unknown, file: string) => void;
  /** Told of each request. */
  readonly debug?: ((words: string) => void) | undefined;
}

/**
 * A file system of disks, as the kernel asks for it: a folder with a file for each, or one file in
 * the place of a file.
 */
export class FuseSession {
  readonly #options: FuseOptions;
  readonly #files: ReadonlyMap<number, DiskFile>;
  /** The root, when that is a file. */
  readonly #only: DiskFile | undefined;
  readonly #started = BigInt(Math.floor(Date.now() / 1000));

  /** @param disks by their names, or the one that is the root. */
  constructor(disks: readonly FileDisk[] | FileDisk, options: FuseOptions) {
    this.#options = options;
    const list = 'device' in disks ? [disks] : disks;
    const first = 'device' in disks ? ROOT : ROOT + 1;
    const files = list.map((disk, index) => new DiskFile(disk, first + index));
    this.#files = new Map(files.map(file => [file.node, file]));
    this.#only = this.#files.get(ROOT);
  }

  /**
   * Does what a request asks for.
   * @param request its bytes, which stay as they are until it is answered.
   * @param memory for the answer to a read.
   */
  handle(header: RequestHeader, request: Buffer, memory: Memory): Reply | PromiseLike<Reply> {
    try {
      const answer = this.#handle(header, request, memory);
      if (typeof answer === 'number' || !('then' in answer)) return answer;
      return answer.then(undefined, error => this.#failed(error, header));
    } catch (error) {
      return this.#failed(error, header);
    }
  }

  #failed(error: unknown, { node }: RequestHeader): number {
    this.#options.onError(error, this.#files.get(node)?.name ?? '');
    return errnoNumber(error);
  }

  #handle(header: RequestHeader, request: Buffer, memory: Memory): Reply | PromiseLike<Reply> {
    const { opcode, node } = header;
    const file = this.#files.get(node);
    if (this.#options.debug) this.#debug(this.#options.debug, opcode, request);
    if (this.#options.allowRoot && isStranger(request)) return EACCES;
    switch (opcode) {
      case Opcode.read:
        return file ? this.#read(file, request, memory) : EISDIR;
      case Opcode.write:
        return file ? this.#write(file, request) : EISDIR;
      case Opcode.init:
        return agree(request) ?? EPROTO;
      case Opcode.lookup:
        return this.#lookup(decodeName(request));
      case Opcode.getattr:
        return this.#getattr(node);
      case Opcode.setattr:
        return file ? this.#setattr(file, request) : EPERM;
      case Opcode.open:
        return file ? this.#open(file, decodeOpen(request)) : EISDIR;
      case Opcode.opendir:
        return file ? ENOTDIR : encodeOpen(0);
      case Opcode.readdir:
        return file ? ENOTDIR : this.#readdir(request);
      case Opcode.fsync:
        return andThen(file?.flush(), () => NOTHING);
      case Opcode.fallocate:
        return file ? this.#fallocate(file, request) : EISDIR;
      case Opcode.lseek:
        return file ? this.#seek(file, request) : EISDIR;
      case Opcode.statfs:
        return encodeStatfs();
      case Opcode.release:
      case Opcode.releasedir:
      case Opcode.fsyncdir:
      case Opcode.destroy:
        return NOTHING;
      default:
        return CHANGES.has(opcode) ? EPERM : ENOSYS;
    }
  }

  #debug(tell: (words: string) => void, opcode: number, request: Buffer): void {
    const name = NAMES.get(opcode) ?? `request ${opcode}`;
    const ranged = opcode === Opcode.read || opcode === Opcode.write;
    const { offset, length } = ranged ? decodeIo(request) : { offset: 0n, length: 0 };
    tell(ranged ? `${name}: offset=${offset} count=${length}` : name);
  }

  #read(file: DiskFile, request: Buffer, memory: Memory): Data | PromiseLike<Data> {
    const { offset, length } = decodeIo(request);
    return file.read(offset, length, { memory });
  }

  #write(file: DiskFile, request: Buffer): Reply | PromiseLike<Reply> {
    if (!file.writable) return EACCES;
    const written = file.write(decodeIo(request).offset, payloadOf(request));
    return andThen(written, encodeWritten);
  }

  #lookup(name: string): Reply | PromiseLike<Reply> {
    const found = [...this.#files.values()].find(file => file.name === name);
    if (!found || this.#only) return ENOENT;
    return this.#attributes(found).then(it => encodeEntry(it, this.#options));
  }

  #getattr(node: number): Reply | PromiseLike<Reply> {
    const file = this.#files.get(node);
    if (file) return this.#attributes(file).then(it => encodeAttributes(it, this.#options));
    return node === ROOT ? encodeAttributes(this.#folder(), this.#options) : ENOENT;
  }

  async #attributes(file: DiskFile): Promise<Attributes> {
    const { uid, gid, umask } = this.#options;
    const permissions = (file.writable ? 0o666 : 0o444) & ~umask;
    return {
      node: file.node,
      size: file.device.size,
      blocks: await file.blocks(),
      seconds: this.#started,
      mode: files.S_IFREG | permissions,
      links: 1,
      uid,
      gid,
    };
  }

  #folder(): Attributes {
    const { uid, gid, umask } = this.#options;
    const mode = files.S_IFDIR | (FOLDER_MODE & ~umask);
    const nothing = { size: 0n, blocks: 0n };
    return { node: ROOT, ...nothing, seconds: this.#started, mode, links: 2, uid, gid };
  }

  /** A disk has its size; its times are nothing that could be set, which nobody minds. */
  #setattr(file: DiskFile, request: Buffer): Reply | PromiseLike<Reply> {
    const { valid, size } = decodeSetattr(request);
    if ((valid & SetAttr.owner) !== 0) return EPERM;
    if ((valid & SetAttr.size) !== 0 && size !== file.device.size) return EINVAL;
    return this.#getattr(file.node);
  }

  #open(file: DiskFile, flags: number): Reply {
    const { keepCache, directIo } = this.#options;
    const accessMode = files.O_WRONLY | files.O_RDWR;
    if ((flags & accessMode) !== files.O_RDONLY && !file.writable) return EACCES;
    const direct = directIo ? OpenFlag.directIo : 0;
    const keep = keepCache ? OpenFlag.keepCache : 0;
    return encodeOpen(direct | keep | OpenFlag.parallelDirectWrites);
  }

  #readdir(request: Buffer): Reply {
    const disks = [...this.#files.values()].map(({ name, node }) => ({
      name,
      node,
      folder: false,
    }));
    const self = ['.', '..'].map((name): Entry => ({ name, node: ROOT, folder: true }));
    const { offset, length } = decodeIo(request);
    return encodeEntries([...self, ...disks], Number(offset), length);
  }

  async #fallocate(file: DiskFile, request: Buffer): Promise<Reply> {
    if (!file.writable) return EACCES;
    const { mode, offset, length } = decodeFallocate(request);
    await file.fallocate(mode, offset, length);
    return NOTHING;
  }

  async #seek(file: DiskFile, request: Buffer): Promise<Reply> {
    if (!file.device.extents) return ENOSYS;
    const { offset, whence } = decodeLseek(request);
    const found = await file.seek(offset, whence);
    return found === undefined ? ENXIO : encodeLseek(found);
  }
}

function isStranger(request: Buffer): boolean {
  const { uid } = decodeCaller(request);
  return uid !== 0 && uid !== process.getuid!();
}

const NAMES = new Map<number, string>(Object.entries(Opcode).map(([name, code]) => [code, name]));

/** What would make, remove or rename something. */
const CHANGES: ReadonlySet<number> = new Set([
  Opcode.symlink,
  Opcode.mknod,
  Opcode.mkdir,
  Opcode.unlink,
  Opcode.rmdir,
  Opcode.rename,
  Opcode.rename2,
  Opcode.link,
  Opcode.create,
  Opcode.tmpfile,
]);

/** What went wrong with a connection is no error that programs know of files. */
const FOREIGN: ReadonlySet<string> = new Set(['ECONNRESET', 'ESHUTDOWN', 'EPROTO']);

/** The system's number of what a disk failed with. */
function errnoNumber(error: unknown): number {
  const errno = errnoOf(error);
  return FOREIGN.has(errno) ? EIO : (constants.errno[errno as 'EIO'] ?? EIO);
}
