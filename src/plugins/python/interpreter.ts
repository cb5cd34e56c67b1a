import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, writeSync } from 'node:fs';
import type { Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { BlockError, messageOf } from '../../block/errors.ts';
import { endGroup } from '../../posix/child.ts';
import { Mapping } from '../../posix/mapping.ts';
import { atExit } from '../../posix/temporary.ts';
import type { ScriptContext } from '../../scripts/plugin.ts';
import type { CallOptions, Reply } from '../../scripts/script.ts';
import { type Answer, AnswerReader, encodeCall } from './frames.ts';
import { SLOT, SLOTS, Slots } from './slots.ts';

const HOST = fileURLToPath(new URL('./python-host.py', import.meta.url));
/** How long a call that nobody waits for may hold up who gave it up, and the end itself, in ms. */
const PATIENCE = 2000;
/** What the script may ask of the server at any time, instead of an answer. */
const Upcall = { debug: 100, shutdown: 101, disconnect: 102 } as const;
const MOST_DEBUG = 1 << 16;

/** A call that is not answered yet. */
class Pending {
  readonly options: CallOptions;
  /** Of the shared memory. */
  readonly slot: number | undefined;
  /** Nobody waits for the answer. */
  givenUp = false;
  readonly #resolve: (reply: Reply) => void;
  readonly #reject: (error: unknown) => void;
  #timer: NodeJS.Timeout | undefined;

  constructor(
    options: CallOptions,
    slot: number | undefined,
    resolve: (reply: Reply) => void,
    reject: (error: unknown) => void,
  ) {
    this.options = options;
    this.slot = slot;
    this.#resolve = resolve;
    this.#reject = reject;
    const { signal } = options;
    signal?.addEventListener('abort', this.#giveUp);
    if (signal?.aborted) this.#giveUp();
  }

  resolve(reply: Reply): void {
    this.#stop();
    this.#resolve(reply);
  }

  reject(error: unknown): void {
    this.#stop();
    this.#reject(error);
  }

  readonly #giveUp = (): void => {
    this.#timer = setTimeout(() => {
      this.givenUp = true;
      this.reject(this.options.signal!.reason);
    }, PATIENCE);
  };

  #stop(): void {
    clearTimeout(this.#timer);
    this.options.signal?.removeEventListener('abort', this.#giveUp);
  }
}

/** A python3 that runs a script and answers calls of its functions. */
export class Interpreter {
  readonly #name: string;
  readonly #context: ScriptContext;
  readonly #child: ChildProcess;
  readonly #channel: Socket;
  readonly #pending = new Map<number, Pending>();
  readonly #forget: () => void;
  readonly #exited: Promise<void>;
  readonly #slots: Slots | undefined;
  #count = 0;
  /** Why nothing can be asked any more. */
  #end: BlockError | undefined;

  /**
   * @param name what errors call the script.
   * @param generation tells its handles from those of interpreters before it.
   */
  constructor(name: string, generation: number, context: ScriptContext) {
    this.#name = name;
    this.#context = context;
    const { stdioSafe } = context;
    const shared = Mapping.shared(SLOTS * SLOT);
    this.#slots = shared && new Slots(shared.mapping);
    const words = ['-u', HOST, generation, stdioSafe, shared !== undefined].map(String);
    const stdio = ['ignore', 'pipe', 'pipe', 'pipe', shared?.fd ?? 'ignore'] as const;
    this.#child = spawn('python3', words, { stdio: [...stdio], detached: true });
    if (shared) closeSync(shared.fd);
    this.#forget = atExit(() => endGroup(this.#child.pid));
    this.#channel = this.#child.stdio[3] as Socket;
    const reader = new AnswerReader(
      (id, status) => (status < Upcall.debug && this.#pending.get(id)?.options.limit) || MOST_DEBUG,
      answer => this.#answered(answer),
    );
    this.#channel.on('error', () => {});
    this.#channel.on('data', (bytes: Buffer) => {
      try {
        reader.feed(bytes);
      } catch (error) {
        this.#fail(`has broken its channel: ${messageOf(error)}`);
        endGroup(this.#child.pid);
      }
    });
    // A print goes to standard output, unless that is a client's.
    this.#child.stdout!.on('data', bytes => print(stdioSafe ? 1 : 2, bytes));
    this.#child.stderr!.on('data', bytes => print(2, bytes));
    this.#exited = new Promise(resolve => {
      this.#child.once('error', ({ code }: NodeJS.ErrnoException) => {
        this.#fail(
          code === 'ENOENT' ? 'not found: it must be installed' : `cannot be run: ${code}`,
        );
        resolve();
      });
      this.#child.once('exit', (status, signal) => {
        this.#fail(signal ? `was ended by ${signal}` : `has ended with status ${status}`);
        resolve();
      });
    });
  }

  /** Whether it can be asked. */
  get alive(): boolean {
    return this.#end === undefined;
  }

  /** @throws BlockError EIO when it has ended, or ends before it has answered. */
  call(method: string, words: readonly string[], options: CallOptions): Promise<Reply> {
    return new Promise((resolve, reject) => {
      if (this.#end) {
        reject(this.#end);
        return;
      }
      const { limit, input, memory } = options;
      const id = this.#count++ % 2 ** 32;
      const slot = input || memory ? this.#slots?.take(input?.length ?? limit) : undefined;
      if (slot !== undefined && input) this.#slots!.put(slot, input);
      this.#pending.set(id, new Pending(options, slot, resolve, reject));
      const data = slot === undefined ? { input } : { slot };
      this.#channel.write(encodeCall(id, [method, ...words], data));
    });
  }

  /** Lets it finish, for a while. Never rejects. */
  async close(): Promise<void> {
    this.#channel.end();
    const timer = setTimeout(() => endGroup(this.#child.pid), PATIENCE);
    await this.#exited;
    clearTimeout(timer);
  }

  #answered({ id, status, output, errors, shared }: Answer): void {
    const pending = this.#pending.get(id);
    const disconnect = pending?.options.request?.disconnect;
    if (status === Upcall.debug) this.#context.debug(Buffer.concat(output).toString());
    else if (status === Upcall.shutdown) this.#context.shutdown();
    else if (status === Upcall.disconnect) disconnect?.(output.length > 0);
    else if (pending) {
      this.#pending.delete(id);
      const data = pending.slot === undefined ? output : this.#fromSlot(pending, shared);
      pending.resolve({ status, output: data, errors });
    }
  }

  /** The data that a call has left in its slot, which others may have from now on. */
  #fromSlot({ slot, options, givenUp }: Pending, shared: number): Uint8Array[] {
    const { memory, limit } = options;
    const length = Math.min(shared, limit, SLOT);
    const wanted = memory && length > 0 && !givenUp;
    const data = wanted ? [this.#slots!.get(slot!, memory(length))] : [];
    this.#slots!.give(slot!);
    return data;
  }

  #fail(why: string): void {
    if (this.#end) return;
    this.#end = new BlockError('EIO', `${this.#name}: python3 ${why}`);
    this.#forget();
    for (const pending of this.#pending.values()) pending.reject(this.#end);
    this.#pending.clear();
    this.#channel.destroy();
  }
}

function print(fd: number, bytes: Buffer): void {
  try {
    writeSync(fd, bytes);
  } catch {
    // Nobody reads what it says.
  }
}
