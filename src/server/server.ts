import net from 'node:net';
import { resolve } from 'node:path';
import { inspect } from 'node:util';
import type { BlockDevice, DeviceSource } from '../block/device.ts';
import { BlockError, UsageError } from '../block/errors.ts';
import { asSource } from '../block/source.ts';
import { descriptorLimit } from '../posix/descriptor-limit.ts';
import { formatNbdUri, type UriAddress } from '../protocol/uri.ts';
import { descriptorOf, SocketTransport } from '../transport/socket.ts';
import type { Transport } from '../transport/transport.ts';
import { type Client, Connection, type ConnectionHost } from './connection.ts';
import type { ServerOptions } from './options.ts';
import { POOL, shareOf } from './share.ts';
import { Counters, type Statistics } from './statistics.ts';
import { Threads } from './threads.ts';

/** Where to listen: a Unix socket, a TCP or vsock port, or a socket that someone else has bound. */
export type ListenAddress =
  | { readonly path: string }
  | { readonly host?: string | undefined; readonly port: number; readonly ipv6Only?: boolean }
  | { readonly vsockPort: number }
  | { readonly fd: number };

/** How long requests under way, and clients that do not take their answers, hold up the end, in ms. */
const PATIENCE = 5000;

/** How this machine calls itself, in AF_VSOCK. */
const LOCAL_CID = 1;

/** Descriptors that no client gets. */
const RESERVED = 16;

/** An NBD server: listens, negotiates, and serves the devices of a source. */
export class Server {
  readonly #options: ServerOptions;
  readonly #host: ConnectionHost;
  readonly #listeners: net.Server[] = [];
  #address: net.AddressInfo | string | null = null;
  readonly #connections = new Set<Connection>();
  readonly #threads: Threads | undefined;
  #source: DeviceSource;
  #count = 0;
  /** Of those who have left. */
  readonly #left = new Counters();
  /** The last client was turned away. */
  #full = false;
  #closed: Promise<void> | undefined;
  /** Told whenever a connection is over. */
  readonly #watchers = new Set<() => void>();

  constructor(options: ServerOptions) {
    this.#options = options;
    this.#source = asSource(options.source);
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

  /** Of all connections so far, of which there were so many. */
  statistics(): Statistics & { readonly connections: number } {
    const all = new Counters();
    all.add(this.#left);
    for (const { statistics } of this.#connections) all.add(statistics);
    return { ...all, connections: this.#count };
  }

  /**
   * Where clients on this machine find the default export, at the first address that it listens at.
   * @throws BlockError EINVAL it does not listen.
   */
  get uri(): string {
    const bound = this.#address;
    if (!bound) throw new BlockError('EINVAL', 'the server does not listen');
    const tls = this.#options.tls?.required ?? false;
    return formatNbdUri({ address: reachable(bound), tls, exportName: '', tlsOptions: {} });
  }

  /**
   * Listens at one more address; gives the address in use, with the port that was found for port 0.
   * @throws UsageError for what is no address; the system's error, such as EADDRINUSE.
   */
  async listen(address: ListenAddress): Promise<net.AddressInfo | string | null> {
    checkAddress(address);
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
        const address =
          found === undefined ? listener.address() : { family, address: '', port: found };
        this.#address ??= address;
        resolve(address);
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
    this.#left.add(connection.statistics);
    this.#options.observer?.disconnected?.(connection);
    for (const watcher of this.#watchers) watcher();
  }

  /**
   * Serves another source to those who connect from now on; the others keep their devices. Resolves
   * when the last of these has gone: the source before is then its owner's to close.
   */
  replace(source: BlockDevice | DeviceSource): Promise<void> {
    const before = this.#source;
    this.#source = asSource(source);
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

/** An address that the system has given, as one to connect to. */
function reachable(bound: net.AddressInfo | string): UriAddress {
  if (typeof bound === 'string') return { path: resolve(bound) };
  const { address, family, port } = bound;
  if (family === 'vsock') return { cid: LOCAL_CID, port };
  return { host: address === '::' || address === '0.0.0.0' ? 'localhost' : address, port };
}

const WAYS = ['port', 'path', 'vsockPort', 'fd'];

/** @throws UsageError */
function checkAddress(address: ListenAddress | undefined): asserts address {
  if (!WAYS.some(way => Object.hasOwn(address ?? {}, way))) {
    const right = 'expected { port }, { path }, { vsockPort } or { fd }';
    throw new UsageError(`listen: ${right}, not ${inspect(address)}`);
  }
  const { port = 0 } = address as { port?: number };
  if (Number.isInteger(port) && port >= 0 && port < 65536) return;
  throw new UsageError(`port: expected a number from 0 to 65535, not ${inspect(port)}`);
}

export interface ServeOptions extends Omit<ServerOptions, 'source'> {
  readonly listen: ListenAddress;
}

/**
 * A server that listens, of a source or of one device for all connections.
 * @throws UsageError for what is no address; the system's error, such as EADDRINUSE.
 */
export async function serve(
  source: BlockDevice | DeviceSource,
  options: ServeOptions,
): Promise<Server> {
  const { listen, ...rest } = options ?? {};
  const server = new Server({ ...rest, source });
  await server.listen(listen);
  return server;
}
