import type { DeviceSource, ListRequest } from '../block/device.ts';
import { checkDevice } from '../block/well-formed.ts';
import type { Mapping } from '../posix/mapping.ts';
import { Option, Rep } from '../protocol/constants.ts';
import { ProtocolError } from '../protocol/errors.ts';
import { encodeOptionReply } from '../protocol/handshake.ts';
import { messageBytes } from '../protocol/text.ts';
import { ByteReader } from '../transport/reader.ts';
import type { Transport } from '../transport/transport.ts';
import type { Client } from './connection.ts';
import { Export, type Terms } from './export.ts';
import type { ServerOptions, ServerTls } from './options.ts';

/** Bytes of replies that wait for a client before it may ask for more. */
const MAX_QUEUED = 1 << 16;

/** The connection that a session is of. */
export interface SessionHost {
  readonly client: Client;
  readonly source: DeviceSource;
  readonly options: ServerOptions;
  /** Aborted when the client is gone. */
  readonly signal: AbortSignal;
  /** The connection has been encrypted. */
  secured(transport: Transport): void;
  /** Bytes of payload that the connection may hold now. */
  share(): number;
}

/** Most bytes of data with one option. */
export const OPTION_LIMIT = 1 << 16;

/** What holds before a client has asked for anything. */
const PLAIN: Terms = { structured: false, extended: false, contexts: [], shared: undefined };

/** One connection while it is negotiating. */
export class Session {
  transport: Transport;
  reader: ByteReader;
  readonly options: ServerOptions;
  readonly source: DeviceSource;
  readonly #host: SessionHost;
  /** The client understands option replies. */
  fixed = false;
  noZeroes = false;
  terms: Terms = PLAIN;
  /** In TLS. */
  secure = false;
  /** The export that the contexts were selected for. */
  contextsExport: string | undefined;
  /** What the client shares. */
  #memory: Mapping | undefined;
  #opened: Export | undefined;
  #default: string | undefined;

  constructor(transport: Transport, host: SessionHost) {
    this.transport = transport;
    this.reader = new ByteReader(transport, OPTION_LIMIT);
    this.options = host.options;
    this.source = host.source;
    this.#host = host;
  }

  /** Tells the observer what went wrong. */
  complain(error: unknown): void {
    this.options.observer?.error?.(error, this.#host.client);
  }

  /** Aborted when the client is gone. */
  get signal(): AbortSignal {
    return this.#host.signal;
  }

  share(): number {
    return this.#host.share();
  }

  debug(message: string): void {
    this.options.observer?.debug?.(message, this.#host.client);
  }

  /** What a source is told of the client. */
  facts(): ListRequest {
    return {
      readOnly: this.options.readOnly ?? false,
      tls: this.secure,
      peer: this.transport.peer,
    };
  }

  /**
   * The export, opened once for however many options ask about it one after the other; by its own name
   * where '' stands for it.
   * @throws whatever the source says, for instance ENOENT for an unknown name.
   */
  async open(exportName: string): Promise<Export> {
    const facts = this.facts();
    const name = exportName || (await this.defaultExport());
    if (this.#opened?.name === name) return this.#opened;
    await this.release();
    const { signal, client } = this.#host;
    const disconnect = (force?: boolean) => client.disconnect(force);
    const device = await this.source.open({ ...facts, exportName: name, signal, disconnect });
    this.#opened = new Export(checkDevice(device), name, facts.readOnly);
    return this.#opened;
  }

  /** The name that "" stands for, asked for once; "" where there is none. */
  async defaultExport(): Promise<string> {
    this.#default ??= (await this.source.defaultExport?.(this.facts())) ?? '';
    return this.#default;
  }

  /** Closes the export that was opened last, unless the transmission has it now. */
  async release(): Promise<void> {
    const opened = this.#opened;
    this.#opened = undefined;
    await opened?.device.close?.();
  }

  /** Payloads may lie in this memory from now on, in place of any that was shared before. */
  shareMemory(memory: Mapping | undefined): void {
    this.#memory?.unmap();
    this.#memory = memory;
    this.terms = { ...this.terms, shared: memory?.place };
  }

  /** The terms for an export: contexts count only for the export that they were selected for. */
  termsFor(exportName: string): Terms {
    return this.contextsExport === exportName ? this.terms : { ...this.terms, contexts: [] };
  }

  /**
   * Agrees to NBD_OPT_STARTTLS. Nothing that was said before survives it.
   * @throws ProtocolError the client did not wait for the answer; BlockError as `encrypt`.
   */
  async encrypt({ credentials, verifyPeer }: ServerTls): Promise<void> {
    const { encrypt } = await import('../transport/tls.ts');
    await this.release();
    this.shareMemory(undefined);
    this.terms = PLAIN;
    this.contextsExport = undefined;
    this.#default = undefined;
    if (this.reader.leftover().length > 0) {
      throw new ProtocolError('the client went on in plain text after NBD_OPT_STARTTLS');
    }
    this.reply(Option.starttls, Rep.ack);
    this.transport = await encrypt(this.transport, { side: 'server', credentials, verifyPeer });
    this.#host.secured(this.transport);
    this.reader = new ByteReader(this.transport, OPTION_LIMIT);
    this.secure = true;
  }

  reply(option: number, reply: number, data: Uint8Array | string = ''): void {
    const bytes = typeof data === 'string' ? messageBytes(data) : data;
    this.transport.send([encodeOptionReply(option, reply, bytes)]);
  }

  /** Waits while the client does not take its answers; what it sends meanwhile stays unread. */
  async drained(): Promise<void> {
    if (this.transport.queued <= MAX_QUEUED) return;
    await new Promise<void>(resolve => {
      this.transport.onDrain = resolve;
    });
  }
}
