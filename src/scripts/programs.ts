import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BlockError } from '../block/errors.ts';
import { runChild } from '../posix/child.ts';
import { privateFolder } from '../posix/temporary.ts';
import { type CallOptions, MISSING, type Reply, type Script, Status } from './script.ts';

/** For --dump-plugin, as in the C nbdkit. */
export const KNOWN_STATUS = { max_known_status: String(Status.disconnectError) };

/** Programs as a script: one is run for each call, with `$tmpdir` in its environment. */
export class Programs implements Script {
  /** The folder `$tmpdir`, which belongs to them. */
  readonly folder = privateFolder(join(tmpdir(), 'nbdkit'));
  readonly #variables = { ...process.env, tmpdir: this.folder.path };
  readonly #programOf: (method: string) => string | undefined;
  readonly #debug: (message: string) => void;
  readonly #otherwise: (method: string) => Reply;

  /**
   * @param programOf the file to run for a method.
   * @param otherwise the reply where there is none.
   */
  constructor(
    programOf: (method: string) => string | undefined,
    debug: (message: string) => void,
    otherwise: (method: string) => Reply = () => MISSING,
  ) {
    this.#programOf = programOf;
    this.#debug = debug;
    this.#otherwise = otherwise;
  }

  /** Removes their folder. */
  readonly remove = (): void => this.folder.remove();

  nameOf(method: string): string {
    return this.#programOf(method) ?? method;
  }

  async call(method: string, words: readonly string[], options: CallOptions): Promise<Reply> {
    const program = this.#programOf(method);
    if (program === undefined) return this.#otherwise(method);
    this.#debug(`calling: ${[program, method, ...words].map(quoted).join(' ')}`);
    const own = { ...options, name: program, variables: this.#variables };
    const end = await runChild(program, [method, ...words], own);
    this.#debug(`completed: ${program} ${method}: status ${end.status}`);
    if (!end.deaf || end.status !== 0) return end;
    throw new BlockError('EIO', `${program}: ${method}: ended without reading all of its input`);
  }
}

/** As one would type it. */
function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
