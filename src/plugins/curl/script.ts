import { BlockError } from '../../block/errors.ts';
import { runChild } from '../../posix/child.ts';

/** Most that a script may print, in bytes. */
const LIMIT = 1 << 16;

/** A shell script that prints headers or cookies, which are used for a while. */
export class Script {
  readonly #name: string;
  readonly #text: string;
  readonly #url: string;
  readonly #lifetime: number;
  #iteration = 0;
  #output: Promise<string> | undefined;
  #since = 0;

  /** @param renew seconds after which it is run again; 0: only when a server refuses what it gave. */
  constructor(name: string, text: string, url: string, renew: number) {
    this.#name = name;
    this.#text = text;
    this.#url = url;
    this.#lifetime = renew === 0 ? Number.POSITIVE_INFINITY : renew * 1000;
  }

  /** What it prints. @throws BlockError EIO it fails. */
  output(): Promise<string> {
    const now = performance.now();
    if (this.#output && now - this.#since < this.#lifetime) return this.#output;
    const output = this.#run();
    this.#since = now;
    this.#output = output;
    output.catch(() => this.expire(output));
    return output;
  }

  /** What it gave is of no use any more. */
  expire(output: Promise<string>): void {
    if (this.#output === output) this.#output = undefined;
  }

  async #run(): Promise<string> {
    const variables = { ...process.env, iteration: String(this.#iteration++), url: this.#url };
    const options = { name: this.#name, variables, limit: LIMIT };
    const { status, output, errors } = await runChild('/bin/sh', ['-c', this.#text], options);
    if (status === 0) return Buffer.concat(output).toString();
    const said = errors.trim().split('\n').at(-1);
    const why = said ? `: ${said}` : '';
    throw new BlockError('EIO', `${this.#name}: it failed with status ${status}${why}`);
  }
}
