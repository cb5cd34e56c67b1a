import type { Patience } from '../../block/retrying.ts';
import type { HttpAgent } from '../../http/agent.ts';
import { AsText, IntoMemory } from '../../http/body.ts';
import { failed } from '../../http/errors.ts';
import type { HttpRequest } from '../../http/exchange.ts';
import { type HttpHead, headerOf } from '../../http/head.ts';
import { PARTIAL, statusError } from '../../http/status.ts';
import { tryAgain } from '../../http/trying.ts';
import { partOf, rangeHeaders } from '../../http/version.ts';
import { encode, type Place, urlOf } from './place.ts';

/** Longest answer in XML, in bytes: a list of a thousand names of a thousand bytes. */
const LONGEST = 1 << 21;
const MOST_LISTED = 1000;
const MISSING = 404;

interface Waiting {
  readonly signal?: AbortSignal | undefined;
}

/** Objects of one size in a bucket, whose names end with their number. */
export class Pieces {
  readonly #agent: HttpAgent;
  readonly #patience: Patience;
  readonly #place: Place;
  readonly #prefix: string;
  readonly #size: number;

  constructor(agent: HttpAgent, patience: Patience, place: Place, prefix: string, size: number) {
    this.#agent = agent;
    this.#patience = patience;
    this.#place = place;
    this.#prefix = prefix;
    this.#size = size;
    urlOf(place, prefix);
  }

  /** Reads a part of a piece; false: there is none. @throws BlockError */
  async read(index: bigint, start: number, target: Uint8Array, waiting: Waiting): Promise<boolean> {
    const url = this.#urlOf(index);
    const first = BigInt(start);
    const last = first + BigInt(target.length) - 1n;
    let sink: IntoMemory | undefined;
    const take = (head: HttpHead) => {
      if (head.status !== PARTIAL) return undefined;
      const part = partOf(head, url);
      if (part.size !== BigInt(this.#size)) {
        const words = `the object has ${part.size} bytes instead of ${this.#size} (object-size)`;
        throw failed(url, words);
      }
      if (part.first !== first || part.last !== last)
        throw failed(url, 'the server sent another part');
      sink = new IntoMemory(target);
      return sink;
    };
    const request = { method: 'GET', url, headers: rangeHeaders(first, last), take } as const;
    const { status } = await this.#ask({ ...request, ...waiting }, PARTIAL, MISSING);
    if (status === PARTIAL && sink!.count < target.length)
      throw failed(url, 'the server sent too little');
    return status === PARTIAL;
  }

  /** @param body as many bytes as a piece has. */
  async write(index: bigint, body: Uint8Array, waiting: Waiting): Promise<void> {
    await this.#ask({ method: 'PUT', url: this.#urlOf(index), body, ...waiting }, 200);
  }

  async remove(index: bigint, waiting: Waiting): Promise<void> {
    await this.#ask({ method: 'DELETE', url: this.#urlOf(index), ...waiting }, 200, 204, MISSING);
  }

  /** The pieces that there are from one on, in order, and whether these are all. */
  async list(from: bigint, waiting: Waiting): Promise<{ found: bigint[]; all: boolean }> {
    const url = new URL(this.#place.bucket);
    const after = from === 0n ? '' : `&start-after=${encode(this.#nameOf(from - 1n))}`;
    const prefix = encode(`${this.#prefix}/`);
    url.search = `list-type=2&max-keys=${MOST_LISTED}&prefix=${prefix}${after}`;
    const body = new AsText(LONGEST);
    const take = ({ status }: HttpHead) => (status === 200 ? body : undefined);
    await this.#ask({ method: 'GET', url, take, ...waiting }, 200);
    const names = [...body.text.matchAll(/<Key>[^<]*\/([\da-f]{16})<\/Key>/g)];
    const found = names.map(([, digits]) => BigInt(`0x${digits}`)).filter(index => index >= from);
    return { found, all: !/<IsTruncated>true</.test(body.text) };
  }

  /** @throws BlockError the answer has none of the statuses. */
  #ask(request: HttpRequest, ...statuses: readonly number[]): Promise<HttpHead> {
    const act = async () => {
      const complaint = new AsText(LONGEST);
      const take = (head: HttpHead) =>
        statuses.includes(head.status) ? request.take?.(head) : complaint;
      const head = await this.#agent.send({ ...request, take });
      if (statuses.includes(head.status)) return head;
      throw statusError(head, request.url, saidIn(head, complaint.text));
    };
    return tryAgain(this.#patience, act, request);
  }

  #nameOf(index: bigint): string {
    return `${this.#prefix}/${index.toString(16).padStart(16, '0')}`;
  }

  #urlOf(index: bigint): URL {
    return urlOf(this.#place, this.#nameOf(index));
  }
}

/** What a server says of an error, and of where the bucket is. */
function saidIn(head: HttpHead, text: string): string {
  const code = /<Code>([^<]{1,80})<\/Code>/.exec(text)?.[1] ?? '';
  const region = headerOf(head, 'x-amz-bucket-region');
  return [code, region === undefined ? '' : `the bucket is in region ${region}`]
    .filter(Boolean)
    .join(', ');
}
