import { once } from 'node:events';
import net from 'node:net';
import type { SFTPWrapper } from 'ssh2';
import { allOf } from '../../block/all-of.ts';
import { type BlockDevice, MAX_SIZE, type ReadOptions } from '../../block/device.ts';
import { BlockError, type Errno, errnoOf, messageOf, UsageError } from '../../block/errors.ts';
import { Turns } from '../../block/turns.ts';
import { composed } from '../../block/wrap.ts';
import { harmless } from '../../protocol/text.ts';
import { connectConfig, type Login } from './login.ts';

/** Bytes of one request to read: servers take so many, and several of them are under way at once. */
const READ = 1 << 17;
/** Bytes of one request to write, which fill a packet of SSH, and how many are under way at once. */
const WRITE = 1 << 15;
/** What is under way must be less than the window of 2 MiB: to wait for that costs much here. */
const WRITES = 32;
/** Offsets are numbers on the way there. */
const FARTHEST = BigInt(Number.MAX_SAFE_INTEGER);

/** What there is to be done when the file is opened. */
export interface Opening {
  readonly path: string;
  readonly readOnly: boolean;
  /** It is made first, or replaced. */
  readonly create?: { readonly size: bigint; readonly mode: number } | undefined;
}

/** A connection to the SFTP server of another machine. */
export class Connection {
  readonly #sftp: SFTPWrapper;
  readonly #end: () => Promise<void>;
  readonly #writes = new Turns(WRITES);
  #lost: BlockError | undefined;

  private constructor(sftp: SFTPWrapper, end: () => Promise<void>) {
    this.#sftp = sftp;
    this.#end = end;
    const lost = () => {
      this.#lost ??= new BlockError('ECONNRESET', 'the SSH connection was lost');
    };
    sftp.on('close', lost);
    sftp.on('error', lost);
  }

  /** @throws BlockError it cannot be reached, is not known, or does not let this user in. */
  static async open(
    login: Login,
    debug: (message: string) => void,
    signal: AbortSignal,
  ): Promise<Connection> {
    const { Client, utils } = (await import('ssh2')).default;
    const config = connectConfig(login, utils.parseKey, debug);
    const { host, port, knownHosts } = login;
    const sock = net.connect({ host, port, noDelay: true, signal });
    const client = new Client();
    let refusal: unknown;
    const hostVerifier = (key: Buffer) => {
      try {
        knownHosts?.check(key);
        return true;
      } catch (error) {
        refusal = error;
        return false;
      }
    };
    const closed = once(client, 'close').catch(() => {});
    const end = async () => {
      client.end();
      await closed;
    };
    try {
      const ready = once(client, 'ready', { signal });
      client.connect({ ...config, sock, hostVerifier });
      await ready;
      // What goes wrong later shows in the requests.
      client.on('error', error => debug(harmless(messageOf(error))));
      return new Connection(await called(done => client.sftp(done)), end);
    } catch (error) {
      client.on('error', () => {});
      sock.on('error', () => {});
      sock.destroy();
      signal.throwIfAborted();
      throw refusal ?? failure(error, `${host}: `);
    }
  }

  /** Opens a file, as a disk that has this connection to itself. @throws BlockError */
  async device({ path, readOnly, create }: Opening): Promise<BlockDevice> {
    try {
      if (create) await this.#create(path, create);
      const { handle, writable } = await this.#openFile(path, readOnly);
      const { size } = await this.call<{ size: number }>(done => this.#sftp.fstat(handle, done));
      if (!(size >= 0) || BigInt(size) > MAX_SIZE || BigInt(size) > FARTHEST) {
        throw new BlockError(
          'EINVAL',
          `${path}: its size, ${size} bytes, is more than can be read`,
        );
      }
      const flushes = writable && (await this.#canFlush(handle));
      return this.#deviceOf(handle, BigInt(size), writable, flushes);
    } catch (error) {
      await this.close();
      const words = `${harmless(path)}: ${messageOf(error)}`;
      throw new BlockError(errnoOf(error), words, { cause: error });
    }
  }

  close(): Promise<void> {
    return this.#end();
  }

  /** @throws BlockError */
  async call<T>(
    ask: (done: (error: Error | null | undefined, value: T) => void) => void,
  ): Promise<T> {
    if (this.#lost) throw this.#lost;
    try {
      return await called(ask);
    } catch (error) {
      throw this.#lost ?? failure(error);
    }
  }

  async #create(path: string, { size, mode }: NonNullable<Opening['create']>): Promise<void> {
    const handle = await this.call<Buffer>(done => this.#sftp.open(path, 'w', mode, done));
    await this.call(done =>
      this.#sftp.fsetstat(handle, { size: Number(size) } as never, done as never),
    );
    await this.call(done => this.#sftp.close(handle, done as never));
  }

  /** For writing too where that is allowed. */
  async #openFile(path: string, readOnly: boolean): Promise<{ handle: Buffer; writable: boolean }> {
    const open = (flags: 'r' | 'r+') =>
      this.call<Buffer>(done => this.#sftp.open(path, flags, done));
    if (!readOnly) {
      try {
        return { handle: await open('r+'), writable: true };
      } catch (error) {
        if (!(error instanceof BlockError && error.errno === 'EACCES')) throw error;
      }
    }
    return { handle: await open('r'), writable: false };
  }

  /** Whether the server has fsync@openssh.com; that of other servers says so at once. */
  async #canFlush(handle: Buffer): Promise<boolean> {
    try {
      await this.#flush(handle);
      return true;
    } catch (error) {
      if (this.#lost) throw error;
      return false;
    }
  }

  async #flush(handle: Buffer): Promise<void> {
    await this.call(done => this.#sftp.ext_openssh_fsync(handle, done as never));
  }

  #deviceOf(handle: Buffer, size: bigint, writable: boolean, flushes: boolean): BlockDevice {
    return composed({
      size,
      // OpenSSH, by this sign: what one connection has flushed all see.
      multiConn: !writable || flushes,
      read: (offset, length, options) => this.#read(handle, offset, length, options),
      write: writable ? (offset, data) => this.#write(handle, offset, data) : undefined,
      flush: flushes ? () => this.#flush(handle) : undefined,
      close: () => this.close(),
      description: undefined,
      rotational: undefined,
      blockSize: undefined,
      fua: undefined,
      zeroing: undefined,
      fastZero: undefined,
      caching: undefined,
      opaque: undefined,
      contexts: undefined,
      recipe: undefined,
      writeBuffer: undefined,
      trim: undefined,
      zero: undefined,
      cache: undefined,
      extents: undefined,
      resize: undefined,
    });
  }

  async #read(
    handle: Buffer,
    offset: bigint,
    length: number,
    { memory = Buffer.allocUnsafeSlow }: ReadOptions = {},
  ): Promise<Uint8Array> {
    const target = memory(length);
    await eachPiece(READ, offset, length, async (at, start, count) => {
      const bytes = bufferOf(target, start, count);
      for (let done = 0; done < count; ) {
        const got = await this.call<number>(answer =>
          this.#sftp.read(handle, bytes, done, count - done, at + done, answer),
        );
        if (got === 0) throw new BlockError('EIO', `the file ends at ${at + done} bytes now`);
        done += got;
      }
    });
    return target;
  }

  async #write(handle: Buffer, offset: bigint, data: Uint8Array): Promise<void> {
    await eachPiece(WRITE, offset, data.length, async (at, start, count) => {
      const bytes = bufferOf(data, start, count);
      await this.#writes.run(() =>
        this.call(done => this.#sftp.write(handle, bytes, 0, count, at, done as never)),
      );
    });
  }
}

const bufferOf = ({ buffer, byteOffset }: Uint8Array, start: number, length: number) =>
  Buffer.from(buffer as ArrayBuffer, byteOffset + start, length);

/** All pieces at once, cut between whole blocks; settles when none is under way. */
async function eachPiece(
  most: number,
  offset: bigint,
  length: number,
  act: (at: number, start: number, count: number) => Promise<void>,
): Promise<void> {
  const pieces: Promise<void>[] = [];
  for (let start = 0; start < length; ) {
    const at = Number(offset) + start;
    const count = Math.min(length - start, most - (at % most));
    pieces.push(act(at, start, count));
    start += count;
  }
  await allOf(pieces);
}

function called<T>(
  ask: (done: (error: Error | null | undefined, value: T) => void) => void,
): Promise<T> {
  return new Promise((resolve, reject) => {
    ask((error, value) => (error ? reject(error) : resolve(value)));
  });
}

/** What SFTP calls its errors by. */
const STATUSES: Readonly<Record<number, readonly [Errno, string]>> = {
  2: ['ENOENT', 'no such file'],
  3: ['EACCES', 'permission denied'],
  8: ['ENOTSUP', 'the server cannot do this'],
};

function failure(error: unknown, lead = ''): Error {
  if (error instanceof BlockError || error instanceof UsageError) return error;
  const { code, level } = error as { code?: number | string; level?: string };
  const told = typeof code === 'number' ? STATUSES[code] : undefined;
  const [errno, words] = told ?? (level === 'client-authentication' ? REFUSED : ['EIO', undefined]);
  const message = `${lead}${words ?? harmless(messageOf(error))}`;
  return new BlockError(errno as Errno, message, { cause: error });
}

const REFUSED = [
  'EACCES',
  'the server does not let this user in, neither by a key nor by a password',
] as const;
