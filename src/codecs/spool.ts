import { close, ftruncateSync } from 'node:fs';
import { promisify } from 'node:util';
import { controllerForMany } from '../block/abortable.ts';
import { alignedDevice } from '../block/aligned.ts';
import type { BlockDevice, RequestOptions } from '../block/device.ts';
import { BlockError, errnoOf, messageOf } from '../block/errors.ts';
import { withRecipeOf } from '../block/recipe.ts';
import { Turns } from '../block/turns.ts';
import { PASS, wrapDevice } from '../block/wrap.ts';
import { namelessFile } from '../posix/temporary.ts';
import { fileDevice } from '../stores/file/device.ts';
import { type Encoded, inputOf } from './encoded.ts';
import {
  type Begin,
  type DecodingThread,
  type Done,
  decoders,
  type Report,
  type SharedBytes,
} from './threads.ts';

/** Compressed bytes that are read and decoded at once. */
const PIECE = 1 << 20;
/** What formats put around compressed bytes: at most so many. */
const AROUND = 4 << 10;
/** Pieces that a thread has got or will find. */
const QUEUE = 3;
/** What is decoded into one file at once. */
const MOST = 2;

const closeFile = promisify(close);

/** A file for what is decoded; it takes no space for zeroes. */
export class Spool {
  readonly #below: BlockDevice;
  readonly #fd: number;
  readonly #turns = new Turns(MOST);
  readonly #end = controllerForMany();
  readonly #running = new Set<Promise<unknown>>();
  #closed: Promise<void> | undefined;

  /**
   * @param below has what is compressed. @param fd of an empty file; a nameless one unless given.
   * @throws BlockError there can be no such file.
   */
  constructor(below: BlockDevice, fd = newFile()) {
    this.#below = alignedDevice(below);
    this.#fd = fd;
  }

  /**
   * Decodes into a place of the file, each time in a thread of its own: what is below may need one,
   * too.
   * @param most bytes that may come. @returns how many came.
   * @throws BlockError; the signal's reason.
   */
  async decode(
    encoded: Encoded,
    place: { readonly offset: number; readonly most?: number },
    options: RequestOptions = {},
  ): Promise<number> {
    const signals = [this.#end.signal, ...(options.signal ? [options.signal] : [])];
    const signal = AbortSignal.any(signals);
    const into = { fd: this.#fd, ...place };
    const run = () => decoders.withThread(thread => this.#feed(thread, encoded, into, signal));
    const running = Promise.resolve(this.#turns.run(run, signal));
    this.#running.add(running);
    return await running.finally(() => this.#running.delete(running));
  }

  /** The file as a disk of so many bytes, which closes it. @throws BlockError it is too large. */
  device(size: number): BlockDevice {
    this.#setSize(size);
    const device = fileDevice({
      fd: this.#fd,
      writable: false,
      shared: true,
      size: BigInt(size),
      blockDevice: false,
      rotational: undefined,
      sparse: true,
    });
    const close = () => this.close();
    return withRecipeOf(device, wrapDevice(device, { ...PASS, close }));
  }

  /** Gives up what is being decoded, and closes the file. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    this.#end.abort(new Error('the device is being closed'));
    await Promise.allSettled(this.#running);
    await closeFile(this.#fd);
  }

  #setSize(size: number): void {
    try {
      ftruncateSync(this.#fd, size);
    } catch (error) {
      const words = `a file of ${size} bytes cannot be made: ${messageOf(error)}`;
      throw new BlockError(errnoOf(error), words, { cause: error });
    }
  }

  /** Reads pieces while those before are being decoded. */
  async #feed(
    thread: DecodingThread,
    encoded: Encoded,
    into: Begin['into'],
    signal: AbortSignal,
  ): Promise<number> {
    const fed: Promise<Report>[] = [];
    const ring = new Ring();
    let begin: Begin | undefined = { coding: encoded.coding, into };
    try {
      for (let at = 0; ; at += PIECE) {
        const input = await this.#piece(encoded, at, ring, signal);
        const last = at + PIECE >= encoded.packed;
        const report = thread.feed({ begin, input, last }, signal);
        report.catch(() => {});
        fed.push(report);
        begin = undefined;
        if (!last && fed.length < QUEUE) continue;
        if (last) return ((await Promise.all(fed)).at(-1) as Done).length;
        await fed.shift();
      }
    } finally {
      // The thread is another's next.
      await Promise.allSettled(fed);
    }
  }

  #piece(
    { from, packed, ...around }: Encoded,
    at: number,
    ring: Ring,
    signal: AbortSignal,
  ): Promise<SharedBytes> {
    const rest = packed - at;
    const piece = {
      ...around,
      from: from + at,
      packed: Math.min(rest, PIECE),
      before: at === 0 ? around.before : undefined,
      after: rest <= PIECE ? around.after : undefined,
    };
    return inputOf(this.#below, piece, length => ring.next(length), { signal });
  }
}

/** Memory for pieces that is used in turn: fresh pages cost more than what is read into them. */
class Ring {
  readonly #pieces: SharedArrayBuffer[] = [];
  #turn = 0;

  next(length: number): SharedBytes {
    const index = this.#turn++ % (QUEUE + 1);
    const piece = this.#pieces[index] ?? new SharedArrayBuffer(PIECE + AROUND);
    this.#pieces[index] = piece;
    return new Uint8Array(piece, 0, length);
  }
}

function newFile(): number {
  try {
    return namelessFile();
  } catch (error) {
    throw new BlockError('EIO', `no temporary file can be made: ${messageOf(error)}`);
  }
}
