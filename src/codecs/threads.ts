import { availableParallelism } from 'node:os';
import type { RequestOptions } from '../block/device.ts';
import { BlockError, type Errno } from '../block/errors.ts';
import { Turns } from '../block/turns.ts';
import { AnsweringThread, threadProgram } from '../posix/answering-thread.ts';
import type { Coding } from './coding.ts';

/** What is to be decoded, and where it goes: shared memory, or a place in a file. */
export interface Begin {
  readonly coding: Coding;
  readonly into:
    | { readonly bytes: SharedBytes }
    | { readonly fd: number; readonly offset: number; readonly most?: number };
}

/** What a thread is told: bytes, one order answered after the other; `begin` in the first one. */
export interface Order {
  readonly begin?: Begin | undefined;
  readonly input: Uint8Array;
  readonly last: boolean;
}

/** All has come, so many bytes. */
export interface Done {
  readonly kind: 'done';
  readonly length: number;
}

export type Report =
  | { readonly kind: 'fed' }
  | Done
  | { readonly kind: 'failed'; readonly errno: Errno; readonly message: string };

/** Bytes with memory of their own, which can be given away. */
export type OwnBytes = Uint8Array<ArrayBuffer>;
/** Bytes that all threads see. */
export type SharedBytes = Uint8Array<SharedArrayBuffer>;

const PROGRAM = threadProgram(import.meta.url, './thread.ts', './decoding.cjs');

/** A thread that decodes one thing at a time. */
export class DecodingThread {
  readonly #stop = new Int32Array(new SharedArrayBuffer(4));
  readonly #thread = new AnsweringThread<Order, Report>(
    'a decoding thread',
    PROGRAM,
    this.#stop.buffer,
  );

  /** Whether it can decode anything more. */
  get works(): boolean {
    return this.#thread.works;
  }

  /**
   * Gives it bytes, which are its own unless they are shared, and waits until it has decoded them.
   * More may be given meanwhile; once one order has failed so do those that belong to it.
   * @throws BlockError what is wrong with them; the signal's reason, and it decodes no further.
   */
  async feed(
    order: Order & { input: OwnBytes | SharedBytes },
    signal?: AbortSignal,
  ): Promise<Report> {
    signal?.throwIfAborted();
    const stop = () => Atomics.store(this.#stop, 0, 1);
    signal?.addEventListener('abort', stop);
    try {
      const { buffer } = order.input;
      const report = await this.#thread.ask(order, buffer instanceof ArrayBuffer ? [buffer] : []);
      signal?.throwIfAborted();
      if (report.kind === 'failed') throw new BlockError(report.errno, report.message);
      return report;
    } finally {
      signal?.removeEventListener('abort', stop);
      if (this.#thread.waiting === 0) Atomics.store(this.#stop, 0, 0);
    }
  }

  end(): void {
    void this.#thread.end();
  }
}

/**
 * Threads that decode blocks, as many at once as there are processors; started when first needed.
 */
class Decoders {
  readonly #turns = new Turns(availableParallelism());
  readonly #free: DecodingThread[] = [];
  #busy = 0;

  /** Whether another block would have to wait. */
  get isBusy(): boolean {
    return this.#busy >= this.#turns.limit;
  }

  /**
   * Decodes a block, which must fill the memory that it gets.
   * @param input is given away unless it is shared. @param memory is asked for when it is the block's turn.
   * @throws BlockError; the signal's reason.
   */
  async decode(
    coding: Coding,
    input: OwnBytes | SharedBytes,
    memory: () => SharedBytes,
    { signal }: RequestOptions = {},
  ): Promise<void> {
    await this.#turns.run(async () => {
      this.#busy += 1;
      try {
        const into = { bytes: memory() };
        const order = { begin: { coding, into }, input, last: true };
        await this.withThread(thread => thread.feed(order, signal));
      } finally {
        this.#busy -= 1;
      }
    }, signal);
  }

  /** Acts with a thread of its own, however many there are. */
  async withThread<T>(act: (thread: DecodingThread) => Promise<T>): Promise<T> {
    const thread = this.#free.pop() ?? new DecodingThread();
    try {
      return await act(thread);
    } finally {
      const isSpare = this.#free.length >= this.#turns.limit;
      if (thread.works && !isSpare) this.#free.push(thread);
      else thread.end();
    }
  }
}

/** Those of the process. */
export const decoders = new Decoders();
