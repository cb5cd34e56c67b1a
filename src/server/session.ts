import type { DeviceSource, ListRequest } from '../block/device.ts';
import { encodeOptionReply } from '../protocol/handshake.ts';
import { messageBytes } from '../protocol/text.ts';
import type { ByteReader } from '../transport/reader.ts';
import type { Transport } from '../transport/transport.ts';
import { Export, type Terms } from './export.ts';
import type { ThreadOptions } from './threads.ts';

/** How the server behaves, the same for all connections. */
export interface ServerOptions {
  readonly source: DeviceSource;
  /** Refuse every write. */
  readonly readOnly?: boolean | undefined;
  /** Most requests of one connection under way at once; 16 unless said. */
  readonly threads?: number | undefined;
  /** Other threads for connections that keep this one busy; none unless given. */
  readonly helpers?: ThreadOptions | undefined;
  /** Oldstyle negotiation, which has no export names and no options. */
  readonly oldstyle?: boolean | undefined;
  /** Do not offer structured replies, nor what depends on them. */
  readonly noStructuredReplies?: boolean | undefined;
  /** Do not offer metadata contexts. */
  readonly noMetaContexts?: boolean | undefined;
  /** Bits of the handshake flags that may be shown; all unless said. */
  readonly maskHandshake?: number | undefined;
  /** One line for people about something that went wrong on a connection. */
  readonly onError?: ((message: string) => void) | undefined;
  /** One line of detail. */
  readonly onDebug?: ((message: string) => void) | undefined;
}

/** Bytes of replies that wait for a client before it may ask for more. */
const MAX_QUEUED = 1 << 16;

/** One connection while it is negotiating. */
export class Session {
  readonly transport: Transport;
  readonly reader: ByteReader;
  readonly options: ServerOptions;
  readonly gone = new AbortController();
  /** The client understands option replies. */
  fixed = false;
  noZeroes = false;
  terms: Terms = { structured: false, extended: false, contexts: [] };
  /** The export that the contexts were selected for. */
  contextsExport: string | undefined;
  #opened: Export | undefined;

  constructor(transport: Transport, reader: ByteReader, options: ServerOptions) {
    this.transport = transport;
    this.reader = reader;
    this.options = options;
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
    const device = await this.options.source.open({
      ...facts,
      exportName,
      signal: this.gone.signal,
      disconnect: () => this.transport.destroy(),
    });
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
