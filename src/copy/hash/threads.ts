import { byteLength, viewsOf } from '../../block/data.ts';
import type { Data } from '../../block/device.ts';
import { AnsweringThread, threadProgram } from '../../posix/answering-thread.ts';
import type { HashForm } from './form.ts';

const PROGRAM = threadProgram(import.meta.url, './thread.ts', './hashing.cjs');

/** Is given bytes in shared memory, and gives the digests of their blocks. */
type HashingThread = AnsweringThread<Uint8Array, Uint8Array>;

/** Threads that hash blocks, started as they are needed. */
export class HashingThreads {
  readonly #form: HashForm;
  readonly #most: number;
  readonly #threads: HashingThread[] = [];
  readonly #spare: SharedArrayBuffer[] = [];

  /** @param most of them; at least 1. */
  constructor(form: HashForm, most: number) {
    this.#form = form;
    this.#most = most;
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
    const digests = await this.#idlest().ask(bytes);
    this.#spare.push(memory);
    return digests;
  }

  async close(): Promise<void> {
    await Promise.all(this.#threads.map(thread => thread.end()));
  }

  #idlest(): HashingThread {
    const [first] = this.#threads.sort((a, b) => a.waiting - b.waiting);
    if (first?.waiting === 0 || this.#threads.length >= this.#most) return first!;
    const thread: HashingThread = new AnsweringThread('a hashing thread', PROGRAM, this.#form);
    this.#threads.push(thread);
    return thread;
  }
}
