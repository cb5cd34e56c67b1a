import { closeSync } from 'node:fs';
import net from 'node:net';
import { messageOf } from '../block/errors.ts';
import { ByteReader } from '../transport/reader.ts';
import { SocketTransport } from '../transport/socket.ts';
import type { Transport } from '../transport/transport.ts';
import { type Agreed, handshake, OPTION_LIMIT } from './handshake.ts';
import { type ServerOptions, Session } from './session.ts';
import { POOL, shareOf } from './share.ts';
import { type Connection, Threads } from './threads.ts';
import { Transmission } from './transmission.ts';

/** Where to listen: a Unix socket, a TCP port, or a socket that someone else has bound. */
export type ListenAddress =
  | { readonly path: string }
  | { readonly host?: string | undefined; readonly port: number; readonly ipv6Only?: boolean }
  | { readonly fd: number };

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
  /** Those with much traffic that this thread serves. */
  readonly #busy = new Set<Transmission>();
  readonly #threads: Threads | undefined;
  #count = 0;
  #closing = false;
  #closed: Promise<void> | undefined;
  #quiet: (() => void) | undefined;

  constructor(options: ServerOptions) {
    this.#options = options;
    const { helpers, onError } = options;
    if (helpers) this.#threads = new Threads(helpers, message => onError?.(message));
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
    try {
      await this.#transmit(transport, agreed, reader.leftover());
    } finally {
      await agreed.transmit.device.close?.();
    }
  }

  #transmit(transport: Transport, agreed: Agreed, leftover: Uint8Array): Promise<void> {
    const { transmit, terms } = agreed;
    return new Promise(resolve => {
      const finished = () => {
        this.#transmissions.delete(transmission);
        this.#busy.delete(transmission);
        resolve();
      };
      const surroundings = {
        threads: this.#options.threads ?? DEFAULT_THREADS,
        share: () => this.#share(),
        onError: (message: string) => this.#options.onError?.(message),
        onBusy: () => {
          void this.#relieve(transmission, transport, agreed).then(elsewhere => {
            if (elsewhere) finished();
            else if (this.#transmissions.has(transmission)) this.#busy.add(transmission);
          });
        },
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
  }

  /**
   * A connection has become busy: if others keep this thread busy already, another one may serve it.
   * @returns whether that one has, to its end.
   */
  async #relieve(
    transmission: Transmission,
    transport: Transport,
    { transmit: { device, name, readOnly }, terms }: Agreed,
  ): Promise<boolean> {
    if (device.recipe === undefined) return false;
    const thread = this.#threads?.lighterThan(this.#busy.size);
    const leave = async (): Promise<Connection | undefined> => {
      // Throws now, rather than on the way, if it is not as the contract says.
      const recipe = structuredClone(device.recipe!);
      const fd = transport.duplicate?.();
      if (fd === undefined) return undefined;
      const leftover = await transmission.leave();
      if (leftover === undefined) {
        closeSync(fd);
        return undefined;
      }
      this.#transmissions.delete(transmission);
      transport.destroy();
      this.#options.onDebug?.('a busy connection goes on in another thread');
      const threads = this.#options.threads ?? DEFAULT_THREADS;
      return { fd, recipe, exportName: name, readOnly, terms, leftover, threads };
    };
    try {
      return (await thread?.serve(leave)) ?? false;
    } catch (error) {
      this.#options.onError?.(messageOf(error));
      return false;
    }
  }

  #share(): number {
    return shareOf(POOL / (1 + (this.#threads?.count ?? 0)), this.#transports.size);
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
    this.#threads?.close();
    if (this.#transports.size > 0) await this.#quietened();
    await this.#threads?.end();
  }

  /** Waits until every connection is closed, and after some time closes those that are left. */
  async #quietened(): Promise<void> {
    const cut = setTimeout(() => {
      for (const transport of this.#transports) transport.destroy();
      void this.#threads?.end();
    }, PATIENCE);
    await new Promise<void>(resolve => {
      this.#quiet = resolve;
    });
    clearTimeout(cut);
  }
}
