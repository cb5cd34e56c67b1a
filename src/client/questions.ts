/** What a client asks of a server in the handshake, and what comes of the replies. */
import { Info, Option, Rep, TransmissionFlag } from '../protocol/constants.ts';
import { ProtocolError } from '../protocol/errors.ts';
import {
  decodeInfoReply,
  decodeMetaContextReply,
  encodeInfoRequest,
  encodeMetaContextRequest,
} from '../protocol/handshake.ts';
import type { ExportInfo } from './agreement.ts';

/** An option of the handshake. */
export interface Question {
  /** In words, for errors. */
  readonly what: string;
  readonly option: number;
  readonly data?: Uint8Array | undefined;
  /** Called with each reply before the last. @throws ProtocolError */
  take?(reply: number, data: Buffer): void;
}

/** An option that is agreed to, or not. */
export function agreeing(option: number, data?: Uint8Array): Question {
  return { what: 'another form of transmission', option, data };
}

/** NBD_OPT_SET_META_CONTEXT and NBD_OPT_LIST_META_CONTEXT. */
export class ContextQuery implements Question {
  readonly what = 'metadata contexts';
  readonly option: number;
  readonly data: Uint8Array;
  /** Names by the ids that the server has given them, or, of a list, by their place. */
  readonly contexts = new Map<number, string>();
  readonly #names = new Set<string>();

  constructor(option: number, name: string, queries: readonly string[]) {
    this.option = option;
    this.data = encodeMetaContextRequest({ name, queries });
  }

  take(reply: number, bytes: Buffer): void {
    if (reply !== Rep.metaContext) return;
    const { id, name } = decodeMetaContextReply(bytes);
    const key = this.option === Option.setMetaContext ? id : this.contexts.size;
    if (this.contexts.has(key)) throw new ProtocolError('the server gave two contexts one id');
    if (this.#names.has(name)) throw new ProtocolError('the server gave two contexts one name');
    this.#names.add(name);
    this.contexts.set(key, name);
  }
}

/** NBD_OPT_INFO and NBD_OPT_GO. */
export class Description implements Question {
  readonly what: string;
  readonly option: number;
  readonly data: Uint8Array;
  #plain: ExportInfo | undefined;
  readonly #more: { -readonly [K in keyof ExportInfo]?: ExportInfo[K] } = {};

  constructor(what: string, option: number, name: string) {
    this.what = `${what} '${name}'`;
    this.option = option;
    const requests = [Info.name, Info.description, Info.blockSize];
    this.data = encodeInfoRequest({ name, requests });
  }

  take(reply: number, bytes: Buffer): void {
    if (reply !== Rep.info) return;
    const answer = decodeInfoReply(bytes);
    if (answer.info === 'export') this.#plain = plainInfo(answer.size, answer.flags);
    else if (answer.info === 'name') this.#more.canonicalName = answer.text;
    else if (answer.info === 'description') this.#more.description = answer.text;
    else if (answer.info === 'blockSize') this.#more.blockSize = answer.blockSize;
  }

  /** Undefined: the server has not told the size. */
  get info(): ExportInfo | undefined {
    return this.#plain && { ...this.#plain, ...this.#more };
  }
}

/** What is known of an export where the server tells no more than this. */
export function plainInfo(size: bigint, flags: number): ExportInfo {
  const known = (flags & TransmissionFlag.hasFlags) !== 0;
  return {
    size,
    flags: known ? flags : 0,
    blockSize: undefined,
    canonicalName: undefined,
    description: undefined,
  };
}
