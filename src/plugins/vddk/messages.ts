import type { Context } from '../../declare/declare.ts';
import { koffi, libcFunction } from '../../posix/libc.ts';
import { harmless } from '../../protocol/text.ts';

/** What of a message is shown, in bytes. */
const MOST = 8192;
/** Errors of a service of VMware's that nobody needs. */
const IDLE = /Get CEIP status failed|VDDK_PhoneHome:/;

const vsnprintf = libcFunction(
  'int vsnprintf(void *to, size_t room, uintptr_t format, uintptr_t values)',
);

/** Functions that the library calls with what it has to say, from any of its threads. */
export class Messages {
  /** Errors are expected, and nobody is to be troubled with them. */
  quiet = false;
  readonly log: bigint;
  readonly warn: bigint;
  readonly #room = Buffer.alloc(MOST);
  readonly #secrets: readonly string[];

  /** @param secrets what is never shown. */
  constructor({ debug, warn }: Pick<Context, 'debug' | 'warn'>, secrets: readonly string[]) {
    this.#secrets = secrets;
    this.log = this.#register(debug);
    this.warn = this.#register(text => (this.quiet || IDLE.test(text) ? debug : warn)(text));
  }

  unregister(): void {
    for (const each of [this.log, this.warn]) koffi()!.unregister(each);
  }

  #register(tell: (text: string) => void): bigint {
    const ffi = koffi()!;
    // A va_list is passed by its address on x86-64.
    const type = ffi.pointer(ffi.proto('void', ['uintptr_t', 'uintptr_t']));
    return ffi.register((format: number, values: number) => {
      vsnprintf()!(this.#room, MOST, format, values);
      let text = this.#room.toString('utf8', 0, this.#room.indexOf(0)).trim();
      for (const secret of this.#secrets) text = text.replaceAll(secret, '...');
      tell(harmless(text));
    }, type);
  }
}
