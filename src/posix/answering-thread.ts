import { type Transferable, Worker } from 'node:worker_threads';
import { BlockError, messageOf } from '../block/errors.ts';

interface Waiting<A> {
  done(answer: A): void;
  failed(error: BlockError): void;
}

/** A thread that answers questions one after the other. It keeps no process alive by itself. */
export class AnsweringThread<Question, Answer> {
  readonly #worker: Worker;
  readonly #waiting: Waiting<Answer>[] = [];
  #failure: BlockError | undefined;

  /**
   * @param what it is, in words. @param program answers each message of its parent with one.
   * @param data for the program.
   */
  constructor(what: string, program: URL, data: unknown) {
    const options = { workerData: data, execArgv: [] };
    this.#worker = program.pathname.endsWith('.ts')
      ? new Worker(new URL(FROM_SOURCE, import.meta.url), { ...options, argv: [program.href] })
      : new Worker(program, options);
    this.#worker.unref();
    this.#worker.on('message', (answer: Answer) => this.#waiting.shift()?.done(answer));
    this.#worker.on('error', error => this.#fail(`${what} fails: ${messageOf(error)}`));
    this.#worker.on('exit', () => this.#fail(`${what} has ended`));
  }

  /** Whether it can answer anything more. */
  get works(): boolean {
    return this.#failure === undefined;
  }

  /** Questions without an answer. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** @param transfer what of the question is given away. @throws BlockError EIO the thread ends. */
  async ask(question: Question, transfer: readonly Transferable[] = []): Promise<Answer> {
    if (this.#failure) throw this.#failure;
    this.#worker.ref();
    try {
      return await new Promise<Answer>((done, failed) => {
        this.#waiting.push({ done, failed });
        this.#worker.postMessage(question, transfer);
      });
    } finally {
      if (this.#waiting.length === 0) this.#worker.unref();
    }
  }

  async end(): Promise<void> {
    await this.#worker.terminate();
  }

  #fail(words: string): void {
    this.#failure ??= new BlockError('EIO', words);
    for (const { failed } of this.#waiting.splice(0)) failed(this.#failure);
  }
}

const FROM_SOURCE = './thread-from-source.mjs';

/** Where a thread's program is: beside the source that names it, or where all is built to. */
export function threadProgram(module: string, source: string, built: string): URL {
  return new URL(module.endsWith('.ts') ? source : built, module);
}
