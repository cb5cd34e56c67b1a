import net from 'node:net';
import type { DeviceSource } from '../block/device.ts';
import { BlockError } from '../block/errors.ts';
import { descriptorLimit } from '../posix/descriptor-limit.ts';
import { descriptorOf, SocketTransport } from '../transport/socket.ts';
import type { Transport } from '../transport/transport.ts';
import { type Client, Connection, type ConnectionHost } from './connection.ts';
import type { ServerOptions } from './options.ts';
import { POOL, shareOf } from './share.ts';
import { Threads } from './threads.ts';

/** Where to listen: a Unix socket, a TCP or vsock port, or a socket that someone else has bound. */
export type ListenAddress =
  | { readonly path: string }
  | { readonly host?: string | undefined; readonly port: number; readonly ipv6Only?: boolean }
  | { readonly vsockPort: number }
  | { readonly fd: number };

/** How long requests under way, and clients that do not take their answers, hold up the end, in ms. */
const PATIENCE = 5000;

/** Descriptors that no client gets. */
const RESERVED = 16;

/** An NBD server: listens, negotiates, and serves the devices of a source. */
export class Server {
  readonly #options: ServerOptions;
  readonly #host: ConnectionHost;
  readonly #listeners: net.Server[] = [];
  readonly #connections = new Set<Connection>();
  readonly #threads: Threads | undefined;
  #source: DeviceSource;
  #count = 0;
  /** The last client was turned away. */
  #full = false;
  #closed: Promise<void> | undefined;
  /** Told whenever a connection is over. */
  readonly #watchers = new Set<() => void>();

  constructor(options: ServerOptions) {
    this.#options = options;
    this.#source = options.source;
    const { helpers, memory = POOL, observer } = options;
    if (helpers) {
      const pool = memory / (1 + helpers.most);
      this.#threads = new Threads(helpers, pool, error => observer?.error?.(error));
    }
    const threads = this.#threads;
    this.#host = {
      options,
      threads,
      busy: new Set(),
      share: () => shareOf(memory / (1 + (threads?.count ?? 0)), this.#connections.size),
    };
  }

  /** Those who are connected at this moment. */
  clients(): readonly Client[] {
    return [...this.#connections];
  }

  /**
   * Listens at one more address; gives the address in use, with the port that was found for port 0.
   * @throws the system's error, such as EADDRINUSE.
   */
  async listen(address: ListenAddress): Promise<net.AddressInfo | string | null> {
    const vsock = 'vsockPort' in address ? await import('../posix/vsock.ts') : undefined;
    const { keepAlive = false } = this.#options;
    const options = { pauseOnConnect: true, noDelay: true, keepAlive };
    const listener = net.createServer(options, socket => {
      if (!this.#hasRoomFor(socket)) socket.destroy();
      else void this.serve(SocketTransport.accepted(socket, vsock?.vsockPeer));
    });
    return new Promise((resolve, reject) => {
      listener.once('error', reject);
      let found: number | undefined;
      listener.once('listening', () => {
        listener.off('error', reject);
        listener.on('error', error => this.#options.observer?.error?.(error));
        this.#listeners.push(listener);
        const family = 'vsock';
        resolve(found === undefined ? listener.address() : { family, address: '', port: found });
      });
      if ('vsockPort' in address) found = vsock!.listenVsock(listener, address.vsockPort);
      else listener.listen(address);
    });
  }

  /**
   * The last descriptors are kept for what connections open. Without any, the system would turn
   * clients away and tell nobody.
   */
  #hasRoomFor(socket: net.Socket): boolean {
    const room = descriptorOf(socket) < descriptorLimit() - RESERVED;
    if (!room && !this.#full) {
      const words = 'out of file descriptors: clients are turned away until others have left';
      this.#options.observer?.error?.(new BlockError('ENOMEM', words));
    }
    this.#full = !room;
    return room;
  }

  /** Serves one client to the end of its connection. Never rejects. */
  async serve(transport: Transport): Promise<void> {
    if (this.#closed) {
      transport.destroy();
      return;
    }
    const connection = new Connection(++this.#count, transport, this.#source, this.#host);
    this.#connections.add(connection);
    this.#options.observer?.connected?.(connection);
    await connection.serve();
    this.#connections.delete(connection);
    this.#options.observer?.disconnected?.(connection);
    for (const watcher of this.#watchers) watcher();
  }

  /**
   * Serves another source to those who connect from now on; the others keep their devices. Resolves
   * when the last of these has gone: the source before is then its owner's to close.
   */
  replace(source: DeviceSource): Promise<void> {
    const before = this.#source;
    this.#source = source;
    return this.#until(() => [...this.#connections].every(each => each.source !== before));
  }

  /**
   * Stops listening, lets the requests under way finish, and closes every connection. Connections
   * that are still negotiating are cut. After `timeout` ms, 5000 unless said, what is left is given
   * up: clients that have not taken their answers, requests that their devices do not answer. The
   * source stays open: it is its owner's to close.
   */
  close({ timeout = PATIENCE }: { readonly timeout?: number } = {}): Promise<void> {
    this.#closed ??= this.#shutDown(timeout);
    return this.#closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #shutDown(timeout: number): Promise<void> {
    for (const listener of this.#listeners) listener.close();
    for (const connection of this.#connections) connection.close();
    this.#threads?.close();
    const giveUp = setTimeout(() => this.#giveUp(timeout), timeout);
    await this.#until(() => this.#connections.size === 0);
    clearTimeout(giveUp);
    await this.#threads?.end();
  }

  #giveUp(timeout: number): void {
    const words = `not ended after ${timeout} ms, given up`;
    for (const connection of this.#connections) {
      this.#options.observer?.error?.(new BlockError('ETIMEDOUT', words), connection);
      connection.abandon();
    }
    void this.#threads?.end();
  }

  /** Waits for something that the end of a connection brings about. */
  async #until(over: () => boolean): Promise<void> {
    while (!over()) {
      await new Promise<void>(resolve => {
        const watcher = () => {
          this.#watchers.delete(watcher);
          resolve();
        };
        this.#watchers.add(watcher);
      });
    }
  }
}
