import type { ExportEntry } from '../block/device.ts';
import { MAX_SIZE } from '../block/device.ts';
import { BlockError } from '../block/errors.ts';
import {
  BASE_ALLOCATION,
  ClientFlag,
  HandshakeFlag,
  MAX_STRING,
  Option,
  Rep,
} from '../protocol/constants.ts';
import { ProtocolError } from '../protocol/errors.ts';
import {
  decodeMagics,
  decodeMemorySize,
  decodeOptionReplyHeader,
  decodeServerReply,
  EXPORT_NAME_PADDING,
  EXPORT_NAME_REPLY_SIZE,
  encodeMemorySize,
  encodeOption,
  OLDSTYLE_GREETING_SIZE,
  OPTION_REPLY_HEADER_SIZE,
} from '../protocol/handshake.ts';
import { harmless } from '../protocol/text.ts';
import type { UriLimits } from '../protocol/uri.ts';
import { ByteReader } from '../transport/reader.ts';
import type { Encryption } from '../transport/tls.ts';
import type { Transport } from '../transport/transport.ts';
import type { Agreement, ExportInfo, Protocol } from './agreement.ts';
import { NbdClient } from './client.ts';
import { agreeing, ContextQuery, Description, plainInfo, type Question } from './questions.ts';
import { OptionError } from './refusal.ts';
import type { SharedMemory } from './shared-memory.ts';
import type { SharedSlots } from './shared-slots.ts';
import { abortable } from './signals.ts';

/** Longest option reply that is taken, in bytes. */
const REPLY_LIMIT = 4 * MAX_STRING;
/** Most replies to one option, and bytes of them; a list of exports may be long. */
const MAX_REPLIES = 1_000_000;
const MAX_REPLY_BYTES = 1 << 26;

/** What a server says in the end to an option, if that was asked. */
type Answer = OptionError | 'acknowledged' | undefined;

/** How a client encrypts a connection. */
export type ClientTls = Omit<Encryption & { side: 'client' }, 'side'>;

/** What a client wants of the negotiation. */
export interface NegotiationOptions {
  /** Ask for structured replies; yes unless said. */
  readonly structuredReplies?: boolean | undefined;
  /** Ask for extended (64-bit) headers; yes unless said. */
  readonly extendedHeaders?: boolean | undefined;
  /** Metadata contexts to select; base:allocation unless said. */
  readonly contexts?: readonly string[] | undefined;
  /** The export that is meant where none is named; that of the URI unless said. */
  readonly exportName?: string | undefined;
  /** The connection is encrypted first, or fails. */
  readonly tls?: ClientTls | undefined;
  /** What a URI may ask for; anything unless said. */
  readonly allow?: UriLimits | undefined;
  /**
   * The client makes only requests that the export can take; true unless said. Without it all
   * methods are there, and whatever they are told is sent: for tests of servers.
   */
  readonly strict?: boolean | undefined;
  /** With `tls`: a server that has none is talked to in plain text. */
  readonly tlsOptional?: boolean | undefined;
  /**
   * Share memory with a server on this machine that understands it, so that payloads need not go
   * through the socket: memory of the connection's own, or this. Whoever reads into it, or writes
   * from it, does not use it again before the answer has come. Not unless said.
   */
  readonly sharedMemory?: boolean | SharedMemory | undefined;
  /** Gives up the attempt, with the signal's reason. What was connected in time stays. */
  readonly signal?: AbortSignal | undefined;
}

export interface GoOptions {
  /** Metadata contexts to select; those of the negotiation unless said. */
  readonly contexts?: readonly string[] | undefined;
  /** Gives up and drops the connection, with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * The handshake as a client sees it: ask what the server has, then `go` to an export or `close`.
 * A server with oldstyle negotiation has one export and answers no questions.
 */
export class Negotiation {
  #transport: Transport;
  #reader: ByteReader;
  readonly #options: NegotiationOptions;
  readonly #release: (() => Promise<void>) | undefined;
  #protocol: Protocol = 'newstyle-fixed';
  #structured = false;
  #extended = false;
  #noZeroes = false;
  #tls = false;
  #shared: SharedSlots | undefined;
  /** The export of an oldstyle server. */
  #only: ExportInfo | undefined;

  private constructor(
    transport: Transport,
    options: NegotiationOptions,
    release: (() => Promise<void>) | undefined,
  ) {
    this.#transport = transport;
    this.#reader = new ByteReader(transport, REPLY_LIMIT);
    this.#options = options;
    this.#release = release;
  }

  /**
   * Reads the server's greeting and agrees on the form of replies.
   * @param release ends what was started for the connection; called when that is closed.
   * @throws ProtocolError the peer is not an NBD server.
   */
  static async begin(
    transport: Transport,
    options: NegotiationOptions,
    release?: () => Promise<void>,
  ): Promise<Negotiation> {
    const negotiation = new Negotiation(transport, options, release);
    try {
      await negotiation.#unlessAborted(options.signal, () => negotiation.#greet());
      return negotiation;
    } catch (error) {
      negotiation.#transport.destroy();
      throw error;
    }
  }

  get #exportMeant(): string {
    return this.#options.exportName ?? '';
  }

  #unlessAborted<T>(signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
    return abortable(signal, () => this.#transport.destroy(), work);
  }

  get protocol(): Protocol {
    return this.#protocol;
  }

  get structuredReplies(): boolean {
    return this.#structured;
  }

  /** Whether the server, which is on this machine then, takes memory for payloads. */
  async offersSharedMemory(): Promise<boolean> {
    if (!this.#transport.descriptors || !this.#structured) return false;
    return this.#request(Option.sharedMemory, encodeMemorySize(0));
  }

  /** Whether the connection is encrypted. */
  get tls(): boolean {
    return this.#tls;
  }

  get extendedHeaders(): boolean {
    return this.#extended;
  }

  /** NBD_OPT_LIST. @throws OptionError the server does not list its exports. */
  async list(): Promise<ExportEntry[]> {
    this.#needFixed('a list of exports');
    const exports: ExportEntry[] = [];
    await this.#ask({
      what: 'the list of exports',
      option: Option.list,
      take: (reply, data) => {
        if (reply === Rep.server) exports.push(decodeServerReply(data));
      },
    });
    return exports;
  }

  /** NBD_OPT_INFO. @throws OptionError ENOENT no such export. */
  async info(exportName = this.#exportMeant): Promise<ExportInfo> {
    if (this.#only) return this.#only;
    this.#needFixed('information on an export');
    const description = new Description('information on', Option.info, exportName);
    await this.#ask(description);
    return this.#complete(description);
  }

  /** NBD_OPT_LIST_META_CONTEXT. @param queries all contexts unless given. */
  async listMetaContexts(
    exportName = this.#exportMeant,
    queries: readonly string[] = [],
  ): Promise<string[]> {
    this.#needFixed('metadata contexts');
    if (!this.#structured) return [];
    const contexts = new ContextQuery(Option.listMetaContext, exportName, queries);
    await this.#ask(contexts);
    return [...contexts.contexts.values()];
  }

  /**
   * Chooses an export and begins the transmission. After an OptionError another may be tried.
   * @throws OptionError ENOENT no such export.
   */
  go(
    exportName = this.#exportMeant,
    { contexts = this.#options.contexts, signal }: GoOptions = {},
  ): Promise<NbdClient> {
    return this.#unlessAborted(signal, () => this.#go(exportName, contexts));
  }

  async #go(
    exportName: string,
    contexts: readonly string[] = [BASE_ALLOCATION],
  ): Promise<NbdClient> {
    if (!this.#shared) await this.#share();
    const { selected, info } = await this.#enter(exportName, contexts);
    if (info.size > MAX_SIZE) {
      throw this.#broken(`the server announced an absurd size, ${info.size} bytes`);
    }
    const agreement: Agreement = {
      ...info,
      protocol: this.#protocol,
      exportName,
      tls: this.#tls,
      structured: this.#structured,
      extended: this.#extended,
      sharedMemory: this.#shared?.size ?? 0,
      contexts: selected,
    };
    const leftover = this.#reader.leftover();
    const { strict } = this.#options;
    const options = { release: this.#release, strict, shared: this.#shared };
    return new NbdClient(this.#transport, agreement, leftover, options);
  }

  /** Leaves in order: NBD_OPT_ABORT. Never rejects. */
  async close(): Promise<void> {
    if (this.#protocol === 'newstyle-fixed') {
      this.#transport.send([encodeOption(Option.abort)]);
    }
    await this.#transport.end();
    await this.#release?.();
  }

  async #greet(): Promise<void> {
    const magics = await this.#reader.take(16);
    if (decodeMagics(magics) === 'oldstyle') {
      if (this.#needsTls) throw this.#withoutTls('its negotiation is oldstyle');
      this.#protocol = 'oldstyle';
      const rest = await this.#reader.take(OLDSTYLE_GREETING_SIZE - 16);
      // The flags are 32 bits here, and the upper half is reserved.
      this.#only = plainInfo(rest.readBigUInt64BE(0), rest.readUInt16BE(10));
      return;
    }
    const offered = (await this.#reader.take(2)).readUInt16BE(0);
    const fixed = (offered & HandshakeFlag.fixedNewstyle) !== 0;
    this.#noZeroes = (offered & HandshakeFlag.noZeroes) !== 0;
    if (!fixed) this.#protocol = 'newstyle';
    const flags = Buffer.alloc(4);
    const zeroesFlag = this.#noZeroes ? ClientFlag.noZeroes : 0;
    flags.writeUInt32BE((fixed ? ClientFlag.fixedNewstyle : 0) | zeroesFlag, 0);
    this.#transport.send([flags]);
    if (this.#options.tls) await this.#encrypt(this.#options.tls);
    if (!fixed) return;
    const { structuredReplies = true, extendedHeaders = structuredReplies } = this.#options;
    const [structured, extended] = await this.#askTogether([
      structuredReplies ? agreeing(Option.structuredReply) : undefined,
      extendedHeaders ? agreeing(Option.extendedHeaders) : undefined,
    ]);
    this.#extended = extended === 'acknowledged';
    this.#structured = this.#extended || structured === 'acknowledged';
  }

  async #encrypt(tls: ClientTls): Promise<void> {
    const { encrypt } = await import('../transport/tls.ts');
    if (this.#protocol !== 'newstyle-fixed') {
      if (this.#needsTls) throw this.#withoutTls('its negotiation is too old');
      return;
    }
    try {
      await this.#ask({ what: 'TLS', option: Option.starttls });
    } catch (error) {
      if (!(error instanceof OptionError)) throw error;
      if (this.#needsTls) throw this.#withoutTls(error.message);
      return;
    }
    if (this.#reader.leftover().length > 0) {
      throw this.#broken('the server went on in plain text after NBD_OPT_STARTTLS');
    }
    this.#transport = await encrypt(this.#transport, { side: 'client', ...tls });
    this.#reader = new ByteReader(this.#transport, REPLY_LIMIT);
    this.#tls = true;
  }

  get #needsTls(): boolean {
    return this.#options.tls !== undefined && !this.#options.tlsOptional;
  }

  #withoutTls(why: string): BlockError {
    return new BlockError('EACCES', `the connection cannot be encrypted: ${why}`);
  }

  /** Whether the server agrees to an option that has no answer. */
  async #request(option: number, data?: Uint8Array): Promise<boolean> {
    const [answer] = await this.#askTogether([agreeing(option, data)]);
    return answer === 'acknowledged';
  }

  /** Offers memory for payloads to a server on this machine (docs/protocol.md). */
  async #share(): Promise<void> {
    const { sharedMemory } = this.#options;
    const { descriptors } = this.#transport;
    if (!sharedMemory || !descriptors || !this.#structured) return;
    const [{ SharedMemory }, { SharedSlots }] = await Promise.all([
      import('./shared-memory.ts'),
      import('./shared-slots.ts'),
    ]);
    const given = sharedMemory === true ? undefined : sharedMemory;
    const memory = given ?? SharedMemory.create();
    if (!memory) return;
    let size = 0;
    const take = (reply: number, data: Buffer) => {
      if (reply !== Rep.sharedMemory) return;
      const mapped = decodeMemorySize(data) ?? 0;
      if (size > 0 || mapped === 0 || mapped > memory.size) {
        throw new ProtocolError('the server wants memory that it was not offered');
      }
      size = mapped;
      descriptors.pass(memory.fd);
    };
    try {
      const data = encodeMemorySize(memory.size);
      await this.#ask({ what: 'shared memory', option: Option.sharedMemory, data, take });
      if (size > 0) this.#shared = new SharedSlots(memory, size, given !== undefined);
    } catch (error) {
      if (!(error instanceof OptionError)) throw error;
    } finally {
      if (!given) memory.close();
    }
  }

  /** Selects contexts and enters an export, both asked for at once. */
  async #enter(exportName: string, names: readonly string[]) {
    if (this.#only) return { selected: new Map<number, string>(), info: this.#only };
    const contexts =
      this.#structured && names.length > 0
        ? new ContextQuery(Option.setMetaContext, exportName, names)
        : undefined;
    const fixed = this.#protocol === 'newstyle-fixed';
    const description = fixed ? new Description('the export', Option.go, exportName) : undefined;
    const [selection, entry] = await this.#askTogether([contexts, description]);
    // A server without contexts is still worth connecting to.
    const selected =
      contexts && selection === 'acknowledged' ? contexts.contexts : new Map<number, string>();
    if (description && entry === 'acknowledged') {
      return { selected, info: this.#complete(description) };
    }
    if (entry instanceof OptionError && entry.reply !== Rep.errUnsup) throw entry;
    if (this.#extended) throw this.#broken('the server has extended headers and no NBD_OPT_GO');
    return { selected, info: await this.#exportName(exportName) };
  }

  #complete({ info }: Description): ExportInfo {
    if (info) return info;
    throw this.#broken('the server described an export without its size');
  }

  /** NBD_OPT_EXPORT_NAME, for servers without NBD_OPT_GO; they hang up on unknown names. */
  async #exportName(exportName: string): Promise<ExportInfo> {
    this.#transport.send([encodeOption(Option.exportName, Buffer.from(exportName))]);
    const padding = this.#noZeroes ? 0 : EXPORT_NAME_PADDING;
    let reply: Buffer;
    try {
      reply = await this.#reader.take(EXPORT_NAME_REPLY_SIZE + padding);
    } catch (error) {
      const words = `the server hung up when asked for the export '${harmless(exportName)}'`;
      throw new BlockError('ENOENT', words, { cause: error });
    }
    return plainInfo(reply.readBigUInt64BE(0), reply.readUInt16BE(8));
  }

  /** Sends an option and takes its replies up to the last one. @throws OptionError */
  async #ask(question: Question): Promise<void> {
    const [answer] = await this.#askTogether([question]);
    if (answer instanceof OptionError) throw answer;
  }

  /** Sends options at once, so that they take one round trip, and takes the replies to each. */
  async #askTogether(questions: readonly (Question | undefined)[]): Promise<Answer[]> {
    const asked = questions.filter(question => question !== undefined);
    if (asked.length > 0) {
      this.#transport.send(asked.map(({ option, data }) => encodeOption(option, data)));
    }
    try {
      const answers: Answer[] = [];
      for (const question of questions) answers.push(question && (await this.#answerTo(question)));
      return answers;
    } catch (error) {
      if (error instanceof ProtocolError) this.#transport.destroy();
      throw error;
    }
  }

  async #answerTo(question: Question): Promise<Answer> {
    try {
      await this.#replies(question);
      return 'acknowledged';
    } catch (error) {
      if (error instanceof OptionError) return error;
      throw error;
    }
  }

  async #replies(question: Question): Promise<void> {
    const { what, option } = question;
    let total = 0;
    for (let count = 0; count < MAX_REPLIES && total < MAX_REPLY_BYTES; count++) {
      const header = decodeOptionReplyHeader(await this.#reader.take(OPTION_REPLY_HEADER_SIZE));
      if (header.option !== option) throw new ProtocolError('the server answered another option');
      if (header.length > REPLY_LIMIT) {
        throw new ProtocolError(`the server sent an option reply of ${header.length} bytes`);
      }
      const bytes = await this.#reader.take(header.length);
      total += header.length;
      if (header.reply === Rep.ack) return;
      if (header.reply >= 0x80000000) {
        throw new OptionError(what, header.reply, bytes.toString());
      }
      question.take?.(header.reply, bytes);
    }
    throw new ProtocolError('the server does not stop answering one option');
  }

  #needFixed(what: string): void {
    if (this.#protocol !== 'newstyle-fixed') {
      throw new BlockError('ENOTSUP', `a server with ${this.#protocol} negotiation has no ${what}`);
    }
  }

  #broken(message: string): ProtocolError {
    this.#transport.destroy();
    return new ProtocolError(message);
  }
}
