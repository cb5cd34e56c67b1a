import type { BlockError } from '../../block/errors.ts';
import { Turns } from '../../block/turns.ts';
import type { Context } from '../../declare/declare.ts';
import { koffi } from '../../posix/libc.ts';
import { OK } from './constants.ts';
import type { Library, Telling } from './library.ts';
import { Messages } from './messages.ts';

/** The interface that is spoken. */
const [MAJOR, MINOR] = [6, 5];
/** In ms, as far as timers go. */
const FOREVER = 2 ** 31 - 1;

interface Waiting {
  readonly call: 'ReadAsync' | 'WriteAsync';
  resolve(): void;
  reject(error: BlockError): void;
}

/** The library in use, from VixDiskLib_InitEx to VixDiskLib_Exit. */
export class Session {
  readonly library: Library;
  readonly messages: Messages;
  readonly debug: Context['debug'];
  /** Disks are opened and closed one after the other. */
  readonly openings = new Turns(1);
  /** The function that the library calls at the end of a request. */
  readonly done: bigint;
  readonly #waiting = new Map<number, Waiting>();
  #requests = 0;
  #staying: NodeJS.Timeout | undefined;

  private constructor(library: Library, messages: Messages) {
    this.library = library;
    this.messages = messages;
    this.debug = library.debug;
    const ffi = koffi()!;
    const type = ffi.pointer(ffi.proto('void', ['uintptr_t', 'uint64_t']));
    this.done = ffi.register((id: number, code: number) => this.#end(id, code), type);
  }

  /** @throws VixError */
  static async begin(
    library: Library,
    { folder, config }: { folder: string; config: string | undefined },
    telling: Telling,
    secrets: readonly string[],
  ): Promise<Session> {
    const messages = new Messages(telling, secrets);
    const { log, warn } = messages;
    await library.call('InitEx', MAJOR, MINOR, log, warn, warn, folder, config ?? null);
    return new Session(library, messages);
  }

  /**
   * Makes a request of the library, and waits for its end.
   * @param begin is given the number that `done` will be called with.
   */
  async request(call: Waiting['call'], begin: (id: number) => Promise<void>): Promise<void> {
    const id = this.#requests++;
    const ended = new Promise<void>((resolve, reject) => {
      this.#waiting.set(id, { call, resolve, reject });
    });
    // What other threads may call does not keep the process by itself.
    this.#staying ??= setInterval(() => {}, FOREVER);
    try {
      // It may end before it is known to have begun.
      await Promise.all([begin(id), ended]);
    } finally {
      this.#waiting.delete(id);
      if (this.#waiting.size === 0) {
        clearInterval(this.#staying);
        this.#staying = undefined;
      }
    }
  }

  #end(id: number, code: number): void {
    const waiting = this.#waiting.get(id);
    if (!waiting) return;
    if (code === OK) waiting.resolve();
    else void this.library.errorOf(waiting.call, code).then(waiting.reject, waiting.reject);
  }

  async end(): Promise<void> {
    await this.library.ask('Exit');
    this.messages.unregister();
    koffi()!.unregister(this.done);
  }
}
