import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { byteLength, viewsOf } from '../../block/data.ts';
import type { Data } from '../../block/device.ts';
import { BlockError, messageOf } from '../../block/errors.ts';
import type { HashForm } from './form.ts';

/** Threads that hash blocks, started as they are needed, at most one for each processor. */
export class HashingThreads {
  readonly #form: HashForm;
  readonly #threads: HashingThread[] = [];
  readonly #spare: SharedArrayBuffer[] = [];

  constructor(form: HashForm) {
    this.#form = form;
  }

  /**
   * The digests of the blocks of `data`, which is copied at once.
   * @throws BlockError EIO when a thread ends.
   */
  async digestsOf(data: Data): Promise<Uint8Array> {
    const length = byteLength(data);
    let memory = this.#spare.pop();
    if (!memory || memory.byteLength < length) memory = new SharedArrayBuffer(length);
    const bytes = new Uint8Array(memory, 0, length);
    let at = 0;
    for (const view of viewsOf(data)) {
      bytes.set(view, at);
      at += view.length;
    }
    const digests = await this.#idlest().digestsOf(bytes);
    this.#spare.push(memory);
    return digests;
  }

  async close(): Promise<void> {
    await Promise.all(this.#threads.map(thread => thread.end()));
  }

  #idlest(): HashingThread {
    const [first] = this.#threads.sort((a, b) => a.waiting - b.waiting);
    if (first?.waiting === 0 || this.#threads.length >= availableParallelism()) return first!;
    const thread = new HashingThread(this.#form);
    this.#threads.push(thread);
    return thread;
  }
}

interface Waiting {
  done(digests: Uint8Array): void;
  failed(error: BlockError): void;
}

class HashingThread {
  readonly #worker: Worker;
  readonly #waiting: Waiting[] = [];
  #failure: BlockError | undefined;

  constructor(form: HashForm) {
    const program = import.meta.url.endsWith('.ts') ? './thread-from-source.mjs' : './hashing.cjs';
    const url = new URL(program, import.meta.url);
    this.#worker = new Worker(url, { workerData: form, execArgv: [] });
    this.#worker.on('message', (digests: Uint8Array) => this.#waiting.shift()?.done(digests));
    this.#worker.on('error', error => this.#fail(`a hashing thread fails: ${messageOf(error)}`));
    this.#worker.on('exit', () => this.#fail('a hashing thread has ended'));
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /** @param bytes in shared memory. */
  digestsOf(bytes: Uint8Array): Promise<Uint8Array> {
    return new Promise((done, failed) => {
      if (this.#failure) return failed(this.#failure);
      this.#waiting.push({ done, failed });
      this.#worker.postMessage(bytes);
    });
  }

  async end(): Promise<void> {
    await this.#worker.terminate();
  }

  #fail(words: string): void {
    this.#failure ??= new BlockError('EIO', words);
    for (const { failed } of this.#waiting.splice(0)) failed(this.#failure);
  }
}
