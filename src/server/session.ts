import type { DeviceSource, ListRequest } from '../block/device.ts';
import { encodeOptionReply } from '../protocol/handshake.ts';
import { messageBytes } from '../protocol/text.ts';
import type { ByteReader } from '../transport/reader.ts';
import type { Transport } from '../transport/transport.ts';
import type { Client } from './connection.ts';
import { Export, type Terms } from './export.ts';
import type { ServerOptions } from './options.ts';

/** Bytes of replies that wait for a client before it may ask for more. */
const MAX_QUEUED = 1 << 16;

/** The connection that a session is of. */
export interface SessionHost {
  readonly client: Client;
  readonly source: DeviceSource;
  readonly options: ServerOptions;
  /** Aborted when the client is gone. */
  readonly signal: AbortSignal;
}

/** One connection while it is negotiating. */
export class Session {
  readonly transport: Transport;
  readonly reader: ByteReader;
  readonly options: ServerOptions;
  readonly source: DeviceSource;
  readonly #host: SessionHost;
  /** The client understands option replies. */
  fixed = false;
  noZeroes = false;
  terms: Terms = { structured: false, extended: false, contexts: [] };
  /** The export that the contexts were selected for. */
  contextsExport: string | undefined;
  #opened: Export | undefined;

  constructor(transport: Transport, reader: ByteReader, host: SessionHost) {
    this.transport = transport;
    this.reader = reader;
    this.options = host.options;
    this.source = host.source;
    this.#host = host;
  }

  /** Tells the observer what went wrong. */
  complain(error: unknown): void {
    this.options.observer?.error?.(error, this.#host.client);
  }

  debug(message: string): void {
    this.options.observer?.debug?.(message, this.#host.client);
  }

  /** What a source is told of the client. */
  facts(): ListRequest {
    return {
      readOnly: this.options.readOnly ?? false,
      tls: false,
      peer: this.transport.peer,
    };
  }

  /**
   * The export, opened once for however many options ask about it one after the other.
   * @throws whatever the source says, for instance ENOENT for an unknown name.
   */
  async open(exportName: string): Promise<Export> {
    if (this.#opened?.name === exportName) return this.#opened;
    await this.release();
    const facts = this.facts();
    const { signal, client } = this.#host;
    const disconnect = (force?: boolean) => client.disconnect(force);
    const device = await this.source.open({ ...facts, exportName, signal, disconnect });
    this.#opened = new Export(device, exportName, facts.readOnly);
    return this.#opened;
  }

  /** Closes the export that was opened last, unless the transmission has it now. */
  async release(): Promise<void> {
    const opened = this.#opened;
    this.#opened = undefined;
    await opened?.device.close?.();
  }

  /** The terms for an export: contexts count only for the export that they were selected for. */
  termsFor(exportName: string): Terms {
    return this.contextsExport === exportName ? this.terms : { ...this.terms, contexts: [] };
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
