import net from 'node:net';
import type { Peer } from '../block/device.ts';
import type { Sink, Transport } from './transport.ts';

/** The part of a libuv stream handle that is used here; every net.Socket has one. */
type Handle = object;

/** Where and how to connect. */
export type Address = { readonly path: string } | { readonly host: string; readonly port: number };

/**
 * A transport over a socket of node:net: the kernel reads straight into the sink's space, and what
 * is sent together goes out in one gathered write.
 */
export class SocketTransport implements Transport {
  readonly peer: Peer;
  onDrain: (() => void) | undefined;
  readonly #socket: net.Socket;
  #sink: Sink | undefined;
  /** The sink that the space given to the kernel belongs to, and that space. */
  #armed: Sink | undefined;
  #space: Uint8Array = Buffer.alloc(0);
  #paused = false;
  #done = false;
  #error: Error | undefined;

  private constructor(socket: net.Socket, peer: Peer) {
    this.#socket = socket;
    this.peer = peer;
    socket.on('drain', () => this.onDrain?.());
    socket.on('end', () => this.#end());
    socket.on('error', error => this.#end(error));
    socket.on('close', () => {
      this.#end(new Error('the connection was closed'));
      this.onDrain?.();
    });
  }

  /** Takes over a socket that a server has accepted with `pauseOnConnect`. */
  static accepted(socket: net.Socket): SocketTransport {
    const peer = peerOf(socket);
    const handle = (socket as unknown as { _handle: Handle })._handle;
    return SocketTransport.#make(
      peer,
      onread =>
        new net.Socket({ handle, onread, allowHalfOpen: true } as net.SocketConstructorOpts),
    );
  }

  /**
   * Connects.
   * @throws the system's error, such as ECONNREFUSED.
   */
  static connect(address: Address, signal?: AbortSignal): Promise<SocketTransport> {
    return new Promise((resolve, reject) => {
      let socket: net.Socket;
      const transport = SocketTransport.#make(peerOfAddress(address), onread => {
        const options = { ...address, onread, allowHalfOpen: true, noDelay: true, signal };
        socket = net.connect(options as net.NetConnectOpts);
        return socket;
      });
      socket!.once('error', reject);
      socket!.once('connect', () => {
        socket.off('error', reject);
        resolve(transport);
      });
    });
  }

  static #make(peer: Peer, create: (onread: net.OnReadOpts) => net.Socket): SocketTransport {
    let transport: SocketTransport | undefined;
    const idle = Buffer.allocUnsafe(256);
    const socket = create({
      // Asked for once before a sink is there; reading starts when one is.
      buffer: () => (transport === undefined ? idle : transport.#arm()),
      callback: (count, buffer) => transport!.#received(count, buffer),
    });
    socket.pause();
    transport = new SocketTransport(socket, peer);
    return transport;
  }

  get queued(): number {
    return this.#socket.destroyed ? 0 : this.#socket.writableLength;
  }

  attach(sink: Sink): void {
    this.#sink = sink;
    if (this.#done) sink.ended(this.#error);
    else this.resume();
  }

  pause(): void {
    this.#paused = true;
    this.#socket.pause();
  }

  resume(): void {
    this.#paused = false;
    this.#socket.resume();
  }

  send(views: readonly Uint8Array[]): void {
    const socket = this.#socket;
    if (socket.destroyed) return;
    if (views.length === 1) {
      socket.write(views[0]!);
      return;
    }
    socket.cork();
    for (const view of views) socket.write(view);
    socket.uncork();
  }

  end(): Promise<void> {
    const socket = this.#socket;
    return new Promise(resolve => {
      if (socket.closed) resolve();
      else socket.once('close', () => resolve());
      socket.end(() => socket.destroy());
    });
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #arm(): Uint8Array {
    this.#armed = this.#sink;
    this.#space = this.#sink?.space() ?? Buffer.allocUnsafe(4096);
    return this.#space;
  }

  #received(count: number, buffer: Uint8Array): boolean {
    const sink = this.#sink!;
    if (sink === this.#armed && buffer === this.#space) sink.received(count);
    else this.#copyIn(buffer.subarray(0, count));
    return !this.#paused;
  }

  /** Bytes that came into the space of an earlier sink. */
  #copyIn(bytes: Uint8Array): void {
    for (let rest = bytes; rest.length > 0; ) {
      const sink = this.#sink!;
      const space = sink.space();
      const count = Math.min(space.length, rest.length);
      space.set(rest.subarray(0, count));
      rest = rest.subarray(count);
      sink.received(count);
    }
  }

  #end(error?: Error): void {
    if (this.#done) return;
    this.#done = true;
    this.#error = error;
    this.#sink?.ended(error);
  }
}

function peerOf(socket: net.Socket): Peer {
  if (socket.remoteFamily === undefined) return { family: 'unix' };
  return {
    family: socket.remoteFamily === 'IPv6' ? 'ipv6' : 'ipv4',
    address: socket.remoteAddress,
    port: socket.remotePort,
  };
}

function peerOfAddress(address: Address): Peer {
  if ('path' in address) return { family: 'unix', address: address.path };
  const family = net.isIPv6(address.host) ? 'ipv6' : 'ipv4';
  return { family, address: address.host, port: address.port };
}
