import type { OpenRequest } from '../block/device.ts';
import { BlockError, type Errno, messageOf } from '../block/errors.ts';
import type { Context } from '../declare/declare.ts';
import { type CallOptions, type Reply, type Script, Status } from './script.ts';

/** Most bytes of an answer that is text. */
const MOST_TEXT = 4 << 20;

/** What errnos a script may name, as far as clients can tell them apart. */
const ERRNOS: Readonly<Record<string, Errno>> = {
  EPERM: 'EPERM',
  EIO: 'EIO',
  ENOMEM: 'ENOMEM',
  EINVAL: 'EINVAL',
  ENOSPC: 'ENOSPC',
  EOVERFLOW: 'EOVERFLOW',
  ESHUTDOWN: 'ESHUTDOWN',
  ENOTSUP: 'ENOTSUP',
  EOPNOTSUPP: 'ENOTSUP',
  EROFS: 'EROFS',
  EDQUOT: 'ENOSPC',
  EFBIG: 'ENOSPC',
};

type Host = Pick<Context, 'debug' | 'shutdown'>;
type Options = Partial<CallOptions>;

/** Asks a script, and understands what it says by its status. */
export class Methods {
  readonly #script: Script;
  readonly #host: Host;

  constructor(script: Script, host: Host) {
    this.#script = script;
    this.#host = host;
  }

  /** The script sees to it itself that one thing at a time is done, where that is its model. */
  get serial(): boolean {
    return this.#script.serial ?? false;
  }

  /** For a method that answers with bytes. @returns undefined when the script lacks it. @throws BlockError */
  async bytes(method: string, words: string[], options?: Options) {
    const { code, output } = await this.#ask(method, words, options);
    if (code === Status.missing) return undefined;
    if (code === Status.false) throw this.fault(method, 'returned unexpected code (3/false)');
    return output;
  }

  /** As `bytes`, for text: all of it but a newline at its end. */
  async text(method: string, words: string[], options?: Options): Promise<string | undefined> {
    const output = await this.bytes(method, words, options);
    return output && Buffer.concat(output).toString().replace(/\n$/, '');
  }

  /** For a method that does something. @returns false when the script lacks it. @throws BlockError */
  async act(method: string, words: string[], options?: Options): Promise<boolean> {
    return (await this.bytes(method, words, options)) !== undefined;
  }

  /** For a method that says yes or no. @returns undefined when the script lacks it. @throws BlockError */
  async flag(method: string, words: string[], options?: Options): Promise<boolean | undefined> {
    const { code } = await this.#ask(method, words, options);
    return code === Status.missing ? undefined : code === Status.ok;
  }

  /** An error about an answer of the script. */
  fault(method: string, words: string): BlockError {
    return new BlockError('EIO', `${this.#script.nameOf(method)}: ${method} method ${words}`);
  }

  /** What `read` makes of an answer. @throws BlockError when it cannot. */
  understood<T>(method: string, text: string, read: () => T): T {
    try {
      return read();
    } catch (error) {
      const shown = JSON.stringify(text.slice(0, 100));
      throw this.fault(method, `answered ${shown}: ${messageOf(error)}`);
    }
  }

  async #ask(method: string, words: string[], options: Options = {}) {
    if (words.some(word => word.includes('\0'))) {
      throw new BlockError('EINVAL', `${this.#script.nameOf(method)}: ${method}: a NUL in a word`);
    }
    const limit = options.limit ?? MOST_TEXT;
    const reply = await this.#script.call(method, words, { ...options, limit });
    return { code: this.#judged(method, reply, options.request), output: reply.output };
  }

  /** ok, missing or false. @throws BlockError what the script complains of. */
  #judged(method: string, reply: Reply, request: OpenRequest | undefined): number {
    const { status } = reply;
    switch (status) {
      case Status.ok:
      case Status.missing:
      case Status.false:
        return status;
      case Status.shutdownOk:
        this.#host.shutdown();
        return Status.ok;
      case Status.shutdownError:
        this.#host.shutdown();
        throw this.#complaint(method, reply, 'ESHUTDOWN');
      case Status.disconnectNow:
        request?.disconnect(true);
        return Status.missing;
      case Status.disconnectOk:
        request?.disconnect();
        return Status.ok;
      case Status.disconnectError:
        request?.disconnect();
        throw this.#complaint(method, reply, 'ESHUTDOWN');
      default:
        throw this.#complaint(method, reply, 'EIO');
    }
  }

  #complaint(method: string, { status, errors }: Reply, unless: Errno): BlockError {
    const name = this.#script.nameOf(method);
    const [, word = '', rest = ''] = /^(E[A-Z]+)(?![^\s])\s*(.*)$/is.exec(errors) ?? [];
    const errno = ERRNOS[word.toUpperCase()];
    const complaint = (errno ? rest : errors).replace(/\n+$/, '');
    if (complaint.includes('\n')) this.#host.debug(`${name}: ${complaint}`);
    const words =
      complaint.split('\n', 1)[0]! ||
      (errno
        ? `${method}: ${word}`
        : `${method}: exited with status ${status} and printed no reason on standard error`);
    return new BlockError(errno ?? unless, `${name}: ${words}`);
  }
}
