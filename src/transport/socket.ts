import net from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { byteLength, sliceData, viewsOf } from '../block/data.ts';
import type { Peer } from '../block/device.ts';
import { sendDescriptor, takeDescriptor } from '../posix/descriptor-passing.ts';
import { duplicate } from '../posix/duplicate.ts';
import { type PeerCredentials, peerCredentials } from '../posix/peer-credentials.ts';
import { SocketIo } from '../posix/socket-io.ts';
import { type Descriptors, deliver, type Receiver, type Transport } from './transport.ts';
import { Watch } from './watch.ts';
import { WriteQueue } from './write-queue.ts';

/** The part of a libuv stream handle that is used here; every net.Socket has one. */
interface Handle {
  readonly fd: number;
}

function handleOf(socket: net.Socket): Handle | null {
  return (socket as unknown as { _handle: Handle | null })._handle;
}

/** The descriptor of a socket; -1 when it has none. */
export function descriptorOf(socket: net.Socket): number {
  return handleOf(socket)?.fd ?? -1;
}

/** Asks for room, where the system can give it, for what a socket sends. */
export function makeRoom(socket: net.Socket): void {
  const fd = descriptorOf(socket);
  if (fd >= 0) loadSystemCalls()?.makeRoom(fd, ROOM);
}

/** A connection with so much traffic, in bytes, is worth the time to load what makes it fast. */
const BUSY = 1 << 20;
/** What a message counts as beside its bytes. */
const MESSAGE = 1 << 14;
/** Room for what is sent, so that the sender need not wait for each part of a payload to be taken. */
const ROOM = 1 << 20;
/** For the answer to a single request, in ms: it may be a megabyte that is copied. */
const LONGEST_LOOK = 0.2;
const ASIDE = 1 << 16;
/** Between two looks for a descriptor, in ms: it comes at once from those who keep to the protocol. */
const LONGEST_WAIT = 100;
/** After so many messages in a row the event loop gets its turn. */
const MOST_IN_A_ROW = 64;
let systemCalls: SocketIo | null | undefined;
/** The connection that received last: while it is always the same, no other one is kept waiting. */
let lastServed: SocketTransport | undefined;

/** Where and how to connect. */
export type Address = { readonly path: string } | { readonly host: string; readonly port: number };

/**
 * A transport over a socket of node:net: the kernel reads straight into the receiver's space, and what
 * is sent together goes out in one gathered write.
 */
export class SocketTransport implements Transport {
  readonly peer: Peer;
  onDrain: (() => void) | undefined;
  eager = false;
  readonly #socket: net.Socket;
  readonly #queue: WriteQueue;
  #receiver: Receiver | undefined;
  /** The receiver that the space given to the kernel belongs to, and that space. */
  #armed: Receiver | undefined;
  #space: Uint8Array = Buffer.alloc(0);
  #paused = false;
  /** The receiver is being told of what has come. */
  #receiving = false;
  #done = false;
  #error: Error | undefined;
  #traffic = 0;
  /** Room is asked for when the connection is busy. */
  #roomy = false;
  #io: SocketIo | undefined;
  readonly #incoming = new Watch();
  readonly #outgoing = new Watch();
  readonly #answers = new Watch(LONGEST_LOOK);
  /** Where the event loop reads headers to, once answers are looked for beside it. */
  #aside: Buffer | undefined;
  #isAside = false;

  private constructor(socket: net.Socket, peer: Peer) {
    this.#socket = socket;
    this.peer = peer;
    socket.on('end', () => this.#end());
    socket.on('error', error => this.#end(error));
    socket.on('close', () => this.#end(new Error('the connection was closed')));
    this.#queue = new WriteQueue(socket, () => {
      this.#outgoing.came();
      this.onDrain?.();
    });
  }

  /**
   * Takes over a socket that a server has accepted with `pauseOnConnect`.
   * @param vsockPeer says who is at the other end of an AF_VSOCK socket, which this must be then.
   */
  static accepted(
    socket: net.Socket,
    vsockPeer?: (fd: number) => { cid: number; port: number },
  ): SocketTransport {
    const vsock = vsockPeer?.(descriptorOf(socket));
    const peer: Peer = vsock
      ? { family: 'vsock', address: String(vsock.cid), port: vsock.port }
      : peerOf(socket);
    const handle = handleOf(socket);
    return SocketTransport.#make(
      peer,
      onread =>
        new net.Socket({ handle, onread, allowHalfOpen: true } as net.SocketConstructorOpts),
    );
  }

  /** Takes over a connection by its descriptor: a socket, Unix or TCP, for this transport to close. */
  static adopted(fd: number): SocketTransport {
    const socket = new net.Socket({ fd, readable: false, writable: false });
    const transport = SocketTransport.accepted(socket);
    transport.#roomy = true;
    return transport;
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
        transport.#roomy = true;
        resolve(transport);
      });
    });
  }

  static #make(peer: Peer, create: (onread: net.OnReadOpts) => net.Socket): SocketTransport {
    let transport: SocketTransport | undefined;
    const idle = Buffer.allocUnsafe(256);
    const socket = create({
      // Asked for once before a receiver is there; reading starts when one is.
      buffer: () => (transport === undefined ? idle : transport.#arm()),
      callback: (count, buffer) => transport!.#received(count, buffer),
    });
    socket.pause();
    transport = new SocketTransport(socket, peer);
    return transport;
  }

  get queued(): number {
    return this.#queue.length;
  }

  attach(receiver: Receiver): void {
    this.#receiver = receiver;
    if (this.#done) receiver.ended(this.#error);
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
    if (this.#socket.destroyed) return;
    const io = this.queued === 0 ? this.#io : undefined;
    const rest = io ? this.#sendNow(io, views) : views;
    if (rest.length === 0) return;
    if (this.#traffic < BUSY) this.#count(byteLength(rest));
    this.#queue.send(rest);
  }

  /** Sends by system calls what the kernel takes, and watches for more room; gives back the rest. */
  #sendNow(io: SocketIo, views: readonly Uint8Array[]): readonly Uint8Array[] {
    const fd = descriptorOf(this.#socket);
    let rest = views;
    let left = byteLength(views);
    let sent = io.send(fd, rest);
    while (sent > 0) {
      left -= sent;
      if (left === 0) return [];
      rest = viewsOf(sliceData(rest, sent, left));
      sent = this.#outgoing.watch(() => io.send(fd, rest) || -1);
    }
    return rest;
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

  duplicate(): number | undefined {
    const fd = descriptorOf(this.#socket);
    // No net.Socket takes a vsock by its number.
    return fd < 0 || this.peer.family === 'vsock' ? undefined : duplicate(fd);
  }

  get descriptors(): Descriptors | undefined {
    if (this.peer.family !== 'unix' || process.platform !== 'linux') return undefined;
    const socket = this.#socket;
    return {
      pass: fd => {
        try {
          sendDescriptor(descriptorOf(socket), fd);
        } catch {
          // The other end waits for a byte, and says what it misses.
          socket.write(Buffer.alloc(1));
        }
      },
      take: async signal => {
        for (let wait = 0; ; wait = Math.min(wait + 1, LONGEST_WAIT)) {
          signal.throwIfAborted();
          if (this.#done) return undefined;
          const taken = takeDescriptor(descriptorOf(socket));
          if (taken !== 'later') return taken;
          await delay(wait);
        }
      },
    };
  }

  detach(): net.Socket {
    this.#done = true;
    this.#receiver = undefined;
    return this.#socket;
  }

  lookForAnswer(): void {
    const io = this.#io;
    const receiver = this.#receiver;
    if (!io || !receiver || this.#receiving || this.#paused || this.#done) return;
    this.#aside ??= Buffer.allocUnsafeSlow(ASIDE);
    // What the event loop reads to must not be where the receiver is.
    if (!this.#isAside) return;
    const fd = descriptorOf(this.#socket);
    const space = receiver.space();
    this.#receiving = true;
    const count = this.#answers.watch(() => io.receive(fd, space));
    if (count > 0) {
      receiver.received(count);
      this.#receiveMore(io);
    }
    this.#receiving = false;
  }

  #arm(): Uint8Array {
    const receiver = this.#receiver;
    const space = receiver?.space() ?? Buffer.allocUnsafe(4096);
    this.#isAside = this.#aside !== undefined && !receiver?.expecting;
    this.#armed = this.#isAside ? undefined : receiver;
    this.#space = this.#isAside ? this.#aside!.subarray(0, space.length) : space;
    return this.#space;
  }

  #received(count: number, buffer: Uint8Array): boolean {
    const receiver = this.#receiver!;
    this.#receiving = true;
    if (receiver === this.#armed && buffer === this.#space) receiver.received(count);
    else deliver(buffer.subarray(0, count), () => this.#receiver!);
    this.#incoming.came();
    this.#answers.came();
    if (this.#io) this.#receiveMore(this.#io);
    else if (this.#traffic < BUSY) this.#count(count);
    this.#receiving = false;
    return !this.#paused;
  }

  ready(least: number, before: () => void): number {
    const io = this.#io;
    // The space that the event loop reads into is asked for anew only after this.
    if (!io || !this.#receiving || this.#done) return 0;
    const fd = descriptorOf(this.#socket);
    const now = io.available(fd);
    if (now >= least) return now;
    before();
    const look = () => {
      const count = io.available(fd);
      return count >= least ? count : -1;
    };
    return Math.max(0, this.#incoming.watch(look));
  }

  receive(into: Uint8Array, next?: Uint8Array): number {
    const fd = descriptorOf(this.#socket);
    return Math.max(0, this.#io!.receive(fd, into, next));
  }

  /** Takes note of a message; the one that makes the connection busy brings its system calls. */
  #count(bytes: number): void {
    this.#traffic += MESSAGE + bytes;
    if (this.#traffic < BUSY) return;
    this.#io = loadSystemCalls();
    if (this.#roomy) makeRoom(this.#socket);
  }

  /**
   * Goes on receiving by system calls of its own, which spares a turn of the event loop for each
   * message. It watches for a short time for the rest of a payload, and for the next message if no
   * other connection would have to wait meanwhile. An end or an error is left to the event loop,
   * which meets it again.
   */
  #receiveMore(io: SocketIo): void {
    const alone = lastServed === this;
    lastServed = this;
    for (let round = 0; round < MOST_IN_A_ROW; round++) {
      const receiver = this.#receiver;
      if (this.#paused || this.#done || !receiver) return;
      if (!this.eager && !receiver.expecting) return;
      const fd = descriptorOf(this.#socket);
      const space = receiver.space();
      const beyond = receiver.beyond?.();
      let count = io.receive(fd, space, beyond);
      if (count < 0 && (alone || receiver.expecting)) {
        count = this.#incoming.watch(() => io.receive(fd, space, beyond));
      }
      if (count <= 0) return;
      receiver.received(count);
    }
  }

  #end(error?: Error): void {
    if (this.#done) return;
    this.#done = true;
    this.#error = error;
    this.#receiver?.ended(error);
  }
}

function loadSystemCalls(): SocketIo | undefined {
  if (systemCalls === undefined) systemCalls = SocketIo.load() ?? null;
  return systemCalls ?? undefined;
}

function peerOf(socket: net.Socket): Peer {
  const { remoteFamily, remoteAddress, remotePort: port } = socket;
  if (remoteFamily === undefined) return new UnixPeer(handleOf(socket));
  // An IPv4 client of a socket that takes both kinds.
  const mapped = /^::ffff:([\d.]+)$/i.exec(remoteAddress ?? '')?.[1];
  const family = remoteFamily === 'IPv6' && mapped === undefined ? 'ipv6' : 'ipv4';
  return { family, address: mapped ?? remoteAddress, port };
}

/** Who is at the other end of a Unix socket is asked when somebody wants to know. */
class UnixPeer implements Peer {
  readonly family = 'unix';
  readonly #handle: Handle | null;
  #credentials: PeerCredentials | undefined;

  constructor(handle: Handle | null) {
    this.#handle = handle;
    for (const key of ['pid', 'uid', 'gid'] as const) {
      // Own properties are copied to other threads.
      Object.defineProperty(this, key, { enumerable: true, get: () => this.#ask()?.[key] });
    }
  }

  #ask(): PeerCredentials | undefined {
    const fd = this.#handle?.fd ?? -1;
    if (fd >= 0) this.#credentials ??= peerCredentials(fd);
    return this.#credentials;
  }
}

function peerOfAddress(address: Address): Peer {
  if ('path' in address) return { family: 'unix', address: address.path };
  const family = net.isIPv6(address.host) ? 'ipv6' : 'ipv4';
  return { family, address: address.host, port: address.port };
}
