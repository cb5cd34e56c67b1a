import { BlockError } from '../../block/errors.ts';
import type { ScriptContext } from '../../scripts/plugin.ts';
import {
  type CallOptions,
  impliedReply,
  type Reply,
  type Script,
  Status,
} from '../../scripts/script.ts';
import { Interpreter } from './interpreter.ts';

/** What a new interpreter is told again. */
const LIFE: ReadonlySet<string> = new Set([
  'load',
  'config',
  'config_complete',
  'threads',
  'get_ready',
  'after_fork',
]);
/** What begins a connection, for which a new interpreter is as good. */
const BEGINNINGS: ReadonlySet<string> = new Set([
  'preconnect',
  'list_exports',
  'default_export',
  'open',
]);
/** In these models several calls are under way at once, in so many threads at most. */
const THREADED = /^(parallel|serialize_requests)$/;
const THREADS = 64;
const MOST_NAMES = 1 << 20;

/** A Python script, in an interpreter that is replaced when it has ended. */
export class PythonScript implements Script {
  readonly serial = true;
  readonly #path: string;
  readonly #context: ScriptContext;
  readonly #told: { readonly method: string; readonly words: readonly string[] }[] = [];
  #names = new Set<string>();
  #generation = 0;
  #interpreter: Interpreter;
  /** A new interpreter is on its way. */
  #replacing: Promise<void> | undefined;

  constructor(path: string, context: ScriptContext) {
    this.#path = path;
    this.#context = context;
    this.#interpreter = this.#start();
  }

  nameOf(): string {
    return this.#path;
  }

  async call(method: string, words: readonly string[], options: CallOptions): Promise<Reply> {
    if (method === 'load') return this.#load();
    if (method === 'unload') return this.call('cleanup', words, options);
    const has = (name: string) => this.#names.has(name);
    if (!has(method) && method !== 'close') return impliedReply(method, has);
    if (!this.#interpreter.alive && BEGINNINGS.has(method)) {
      this.#replacing ??= this.#replace().finally(() => {
        this.#replacing = undefined;
      });
    }
    await this.#replacing;
    const own = method === 'open' ? [...words, JSON.stringify(options.request!.peer)] : words;
    const reply = await this.#interpreter.call(method, own, options);
    if (reply.status === Status.ok && LIFE.has(method)) this.#told.push({ method, words: own });
    if (method === 'thread_model') await this.#thread(Buffer.concat(reply.output).toString());
    return reply;
  }

  async end(): Promise<void> {
    await this.#interpreter.close();
  }

  #start(): Interpreter {
    return new Interpreter(this.#path, this.#generation++, this.#context);
  }

  async #load(): Promise<Reply> {
    const words = [this.#path];
    const reply = await this.#interpreter.call('load', words, { limit: MOST_NAMES });
    this.#names = new Set(Buffer.concat(reply.output).toString().split(' '));
    this.#told.push({ method: 'load', words });
    return reply;
  }

  async #thread(model: string): Promise<void> {
    if (!THREADED.test(model)) return;
    const call = { method: 'threads', words: [String(THREADS)] };
    await this.#interpreter.call(call.method, call.words, { limit: 0 });
    this.#told.push(call);
  }

  /** @throws BlockError what the script complains of this time. */
  async #replace(): Promise<void> {
    this.#context.debug(`${this.#path}: a new python3 takes over`);
    const interpreter = this.#start();
    for (const { method, words } of this.#told) {
      const { status, errors } = await interpreter.call(method, words, { limit: MOST_NAMES });
      if (status === Status.ok) continue;
      await interpreter.close();
      throw new BlockError('EIO', `${this.#path}: cannot begin again: ${errors.split('\n', 1)[0]}`);
    }
    this.#interpreter = interpreter;
  }
}
