import assert from 'node:assert';
import { readFileSync } from 'node:fs';
import { inspect } from 'node:util';
import { messageOf, naming, reasonOf, UsageError } from '../../block/errors.ts';
import * as nbd from '../../index.ts';
import { compile, scriptName } from './compile.ts';
import { help } from './help.ts';

/** What scripts throw to end the shell. */
export class Exit extends Error {
  readonly status: number;

  constructor(status: number) {
    super(`exit(${status})`);
    this.status = status;
  }
}

/** What `exit` makes of what it is told, as in Python: words are an error, and said. */
export function exitStatus(given: unknown): number {
  if (given === undefined || given === null) return 0;
  if (typeof given === 'string') process.stderr.write(`${given}\n`);
  return typeof given === 'string' ? 1 : Number(given) & 0xff;
}

/** Stands for the handle until there is one. */
function notConnected(): object {
  const printed = { [inspect.custom]: () => 'not connected' };
  return new Proxy(printed, {
    get(target, name) {
      // Whoever prints it or awaits it asks for these.
      if (typeof name === 'symbol' || name === 'then' || name in target) {
        return Reflect.get(target, name);
      }
      const right = 'give -u URI, or h = await open("nbd://localhost")';
      throw new UsageError(`h.${name}: h is not connected: ${right}`);
    },
  });
}

export interface ShellOptions {
  /** There is a global `h`. */
  readonly handle: boolean;
  /** Metadata contexts that a URI of the command line is asked for. */
  readonly contexts: readonly string[];
  /** Such a URI is not entered: `h` is the negotiation. */
  readonly optMode: boolean;
  readonly verbose: boolean;
}

/** A part of the script that the command line is: code, a file with code, or a URI to connect to. */
export interface Part {
  readonly kind: 'code' | 'file' | 'uri';
  readonly text: string;
}

/** Where scripts find their names. */
const names = globalThis as unknown as Record<string, unknown>;

/** What scripts see, and how they run. */
export class Shell {
  readonly #options: ShellOptions;
  /** What scripts have opened. */
  readonly #opened = new Set<{ close(): Promise<void> }>();

  constructor(options: ShellOptions) {
    this.#options = options;
    Object.assign(names, nbd, {
      nbd,
      assert,
      open: (what: nbd.Openable, given?: nbd.OpenOptions) => this.#open(what, given),
      print: (...values: unknown[]) => console.log(...values),
      exit: (given?: unknown) => {
        throw new Exit(exitStatus(given));
      },
      help: () => console.log(help(options.handle)),
    });
    if (options.handle) names.h = notConnected();
  }

  get hasHandle(): boolean {
    return this.#options.handle;
  }

  /** Puts a name where scripts find it. */
  define(name: string, value: unknown): void {
    names[name] = value;
  }

  /**
   * Runs all parts as one script, so that what one declares the next ones know.
   * @throws Exit, or an Error that says that the script failed.
   */
  async execute(parts: readonly Part[]): Promise<void> {
    const connect = '__nbdsh_connect';
    names[connect] = (uri: string) => this.#connect(uri);
    const code = parts.map(({ kind, text }) => {
      if (kind === 'uri') return `h = await ${connect}(${JSON.stringify(text)});`;
      return kind === 'file' ? contentOf(text) : text;
    });
    try {
      await compile(code.join('\n'))();
    } catch (error) {
      if (error instanceof Exit) throw error;
      if (this.#options.verbose && error instanceof Error) process.stderr.write(`${error.stack}\n`);
      const words = messageOf(error).replace(scriptName(), 'script');
      throw new Error(`command line script failed: ${words}`, { cause: error });
    }
  }

  /** Closes what scripts have opened. Never rejects. */
  async close(): Promise<void> {
    await Promise.allSettled([...this.#opened].map(each => each.close()));
  }

  async #connect(uri: string): Promise<unknown> {
    const { contexts, optMode } = this.#options;
    if (!optMode) return this.#open(uri, { contexts });
    const negotiation = await nbd.negotiate(uri, { contexts });
    this.#opened.add(negotiation);
    return negotiation;
  }

  async #open(what: nbd.Openable, options: nbd.OpenOptions = {}): Promise<nbd.Disk> {
    const debug = (line: string) => process.stderr.write(`nbdsh: debug: ${line}\n`);
    const disk = await nbd.open(what, { ...(this.#options.verbose && { debug }), ...options });
    this.#opened.add(disk);
    return disk;
  }
}

/** @param file `-` stands for standard input. */
function contentOf(file: string): string {
  try {
    return readFileSync(file === '-' ? 0 : file, 'utf8').replace(/^#!.*/, '');
  } catch (error) {
    return naming(file, () => {
      throw new UsageError(reasonOf(error));
    });
  }
}
