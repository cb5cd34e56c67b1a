import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import type { RequestOptions } from '../block/device.ts';
import { BlockError, type Errno, messageOf } from '../block/errors.ts';
import { Turns } from '../block/turns.ts';
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

/** A thread that decodes one thing at a time. It keeps no process alive by itself. */
export class DecodingThread {
  readonly #worker: Worker;
  readonly #stop = new Int32Array(new SharedArrayBuffer(4));
  readonly #waiting: { done(report: Report): void; failed(error: unknown): void }[] = [];
  #failure: BlockError | undefined;

  constructor() {
    this.#worker = startWorker(this.#stop.buffer as SharedArrayBuffer);
    this.#worker.unref();
    this.#worker.on('message', (report: Report) => this.#waiting.shift()?.done(report));
    this.#worker.on('error', error => this.#fail(`a decoding thread fails: ${messageOf(error)}`));
    this.#worker.on('exit', () => this.#fail('a decoding thread has ended'));
  }

  /** Whether it can decode anything more. */
  get works(): boolean {
    return this.#failure === undefined;
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
    if (this.#failure) throw this.#failure;
    const stop = () => Atomics.store(this.#stop, 0, 1);
    signal?.addEventListener('abort', stop);
    this.#worker.ref();
    try {
      const report = await new Promise<Report>((done, failed) => {
        this.#waiting.push({ done, failed });
        const { buffer } = order.input;
        this.#worker.postMessage(order, buffer instanceof ArrayBuffer ? [buffer] : []);
      });
      signal?.throwIfAborted();
      if (report.kind === 'failed') throw new BlockError(report.errno, report.message);
      return report;
    } finally {
      signal?.removeEventListener('abort', stop);
      if (this.#waiting.length === 0) {
        this.#worker.unref();
        Atomics.store(this.#stop, 0, 0);
      }
    }
  }

  end(): void {
    void this.#worker.terminate();
  }

  #fail(words: string): void {
    this.#failure ??= new BlockError('EIO', words);
    for (const { failed } of this.#waiting.splice(0)) failed(this.#failure);
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
   * @param input is given away. @param memory is asked for when it is the block's turn.
   * @throws BlockError; the signal's reason.
   */
  async decode(
    coding: Coding,
    input: OwnBytes,
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

function startWorker(workerData: SharedArrayBuffer): Worker {
  const program = import.meta.url.endsWith('.ts') ? './thread-from-source.mjs' : './decoding.cjs';
  return new Worker(new URL(program, import.meta.url), { workerData, execArgv: [] });
}
