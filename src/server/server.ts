import net from 'node:net';
import { messageOf } from '../block/errors.ts';
import { ByteReader } from '../transport/reader.ts';
import { SocketTransport } from '../transport/socket.ts';
import type { Transport } from '../transport/transport.ts';
import { handshake, OPTION_LIMIT } from './handshake.ts';
import { type ServerOptions, Session } from './session.ts';
import { Transmission } from './transmission.ts';

/** Where to listen: a Unix socket, a TCP port, or a socket that someone else has bound. */
export type ListenAddress =
  | { readonly path: string }
  | { readonly host?: string | undefined; readonly port: number; readonly ipv6Only?: boolean }
  | { readonly fd: number };

/** Payload bytes of all connections together, and the least and most that one may hold. */
const POOL = 1 << 27;
const SMALLEST_SHARE = 1 << 19;
const LARGEST_SHARE = 1 << 25;

const DEFAULT_THREADS = 16;

/** How long a client that does not take its answers can hold up the end, in ms. */
const PATIENCE = 5000;

/** An NBD server: listens, negotiates, and serves the devices of a source. */
export class Server {
  readonly #options: ServerOptions;
  readonly #listeners: net.Server[] = [];
  readonly #transports = new Set<Transport>();
  readonly #negotiating = new Set<Transport>();
  readonly #transmissions = new Set<Transmission>();
  #count = 0;
  #closing = false;
  #closed: Promise<void> | undefined;
  #quiet: (() => void) | undefined;

  constructor(options: ServerOptions) {
    this.#options = options;
  }

  /** Connections at this moment. */
  get connections(): number {
    return this.#transports.size;
  }

  /**
   * Listens at one more address; gives the address in use, with the port that was found for port 0.
   * @throws the system's error, such as EADDRINUSE.
   */
  listen(address: ListenAddress): Promise<net.AddressInfo | string | null> {
    const listener = net.createServer({ pauseOnConnect: true, noDelay: true }, socket => {
      void this.serve(SocketTransport.accepted(socket));
    });
    return new Promise((resolve, reject) => {
      listener.once('error', reject);
      listener.listen(address, () => {
        listener.off('error', reject);
        listener.on('error', error => this.#options.onError?.(messageOf(error)));
        this.#listeners.push(listener);
        resolve(listener.address());
      });
    });
  }

  /** Serves one client to the end of its connection. Never rejects. */
  async serve(transport: Transport): Promise<void> {
    const number = ++this.#count;
    if (this.#closing) {
      transport.destroy();
      return;
    }
    this.#transports.add(transport);
    try {
      await this.#converse(transport);
    } catch (error) {
      this.#options.onError?.(`connection ${number}: ${messageOf(error)}`);
      transport.destroy();
    } finally {
      this.#transports.delete(transport);
      if (this.#transports.size === 0) this.#quiet?.();
    }
  }

  async #converse(transport: Transport): Promise<void> {
    const reader = new ByteReader(transport, OPTION_LIMIT);
    this.#negotiating.add(transport);
    const session = new Session(transport, reader, this.#options);
    const agreed = await handshake(session).finally(() => this.#negotiating.delete(transport));
    if (!agreed) {
      await transport.end();
      return;
    }
    const { transmit, terms } = agreed;
    try {
      await new Promise<void>(resolve => {
        const surroundings = {
          threads: this.#options.threads ?? DEFAULT_THREADS,
          share: () => this.#share(),
          onError: (message: string) => this.#options.onError?.(message),
        };
        const leftover = reader.leftover();
        const finished = () => {
          this.#transmissions.delete(transmission);
          resolve();
        };
        const transmission = new Transmission(
          transport,
          transmit,
          terms,
          surroundings,
          leftover,
          finished,
        );
        this.#transmissions.add(transmission);
        transmission.start();
        if (this.#closing) transmission.close();
      });
    } finally {
      await transmit.device.close?.();
    }
  }

  #share(): number {
    const even = Math.floor(POOL / this.#transports.size);
    return Math.max(SMALLEST_SHARE, Math.min(LARGEST_SHARE, even));
  }

  /**
   * Stops listening, lets the requests under way finish, and closes every connection. Connections
   * that are still negotiating are cut, as are those that have not taken their answers after some
   * seconds. The source stays open: it is its owner's to close.
   */
  close(): Promise<void> {
    this.#closed ??= this.#shutDown();
    return this.#closed;
  }

  async #shutDown(): Promise<void> {
    this.#closing = true;
    for (const listener of this.#listeners) listener.close();
    for (const transport of this.#negotiating) {
      transport.destroy();
      // A source may take any time to open a device that nobody will use.
      this.#transports.delete(transport);
    }
    for (const transmission of this.#transmissions) transmission.close();
    if (this.#transports.size === 0) return;
    const cut = setTimeout(() => {
      for (const transport of this.#transports) transport.destroy();
    }, PATIENCE);
    await new Promise<void>(resolve => {
      this.#quiet = resolve;
    });
    clearTimeout(cut);
  }
}
