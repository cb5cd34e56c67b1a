import { closeSync } from 'node:fs';
import { controllerForMany } from '../block/abortable.ts';
import type { DeviceSource, ListRequest, Peer } from '../block/device.ts';
import { BlockError } from '../block/errors.ts';
import type { Transport } from '../transport/transport.ts';
import { type Agreed, handshake } from './handshake.ts';
import type { ServerOptions } from './options.ts';
import { Session } from './session.ts';
import { Counters, type Statistics } from './statistics.ts';
import type { Handover, Threads } from './threads.ts';
import { Transmission } from './transmission.ts';

const DEFAULT_THREADS = 16;

/** A client of a server, as an observer sees it. */
export interface Client {
  /** Counted from 1. */
  readonly id: number;
  readonly peer: Peer;
  /** The export that it has chosen; undefined before that. */
  readonly exportName: string | undefined;
  /** In another thread it is counted when the connection ends. */
  readonly statistics: Statistics;
  /** Ends the connection: after the requests under way, or at once with `force`. */
  disconnect(force?: boolean): void;
}

/** What all connections of a server have in common. */
export interface ConnectionHost {
  readonly options: ServerOptions;
  /** Other threads, for connections that keep this one busy. */
  readonly threads: Threads | undefined;
  /** Connections with much traffic that this thread serves. */
  readonly busy: Set<Connection>;
  /** Bytes of payload that a connection may hold now. */
  share(): number;
}

/** One connection from its first byte to its last, whichever thread serves it. */
export class Connection implements Client {
  readonly id: number;
  readonly source: DeviceSource;
  exportName: string | undefined;
  readonly statistics = new Counters();
  #transport: Transport;
  readonly #host: ConnectionHost;
  readonly #gone = controllerForMany();
  #transmission: Transmission | undefined;
  /** What goes wrong from now on is no news. */
  #abandoned = false;
  /** Nothing waits for what it still has under way. */
  #giveUp: () => void = () => {};
  readonly #givenUp = new Promise<void>(resolve => {
    this.#giveUp = resolve;
  });

  constructor(id: number, transport: Transport, source: DeviceSource, host: ConnectionHost) {
    this.id = id;
    this.source = source;
    this.#transport = transport;
    this.#host = host;
  }

  get peer(): Peer {
    return this.#transport.peer;
  }

  /** Serves the client to the end, or until it is given up. Never rejects. */
  async serve(): Promise<void> {
    const conversation = this.#converse().catch(error => {
      if (!this.#abandoned) this.#complain(error);
      this.#transport.destroy();
    });
    await Promise.race([conversation, this.#givenUp]);
    this.#leave('the connection is closed');
  }

  /** Lets the requests under way finish; a handshake is cut. */
  close(): void {
    this.#leave('the server is closing');
    if (this.#transmission) this.#transmission.close();
    else if (this.exportName === undefined) this.abandon();
  }

  /** Hangs up, and forgets what does not come to an end. */
  abandon(): void {
    this.#abandoned = true;
    this.#leave('the server does not wait any longer');
    this.#transport.destroy();
    this.#giveUp();
  }

  disconnect(force = false): void {
    if (force) this.#transport.destroy();
    else this.close();
  }

  #leave(why: string): void {
    if (!this.#gone.signal.aborted) this.#gone.abort(new BlockError('ESHUTDOWN', why));
  }

  #complain(error: unknown): void {
    this.#host.options.observer?.error?.(error, this);
  }

  async #converse(): Promise<void> {
    await this.source.preconnect?.(this.peer);
    const session = new Session(this.#transport, {
      client: this,
      source: this.source,
      options: this.#host.options,
      signal: this.#gone.signal,
      secured: transport => {
        this.#transport = transport;
      },
      share: () => this.#host.share(),
    });
    let idle = true;
    try {
      const agreed = await this.#inTime(handshake(session));
      if (agreed) idle = await this.#serve(agreed, session);
    } finally {
      // What was given up may still read or write there.
      if (idle) session.shareMemory(undefined);
    }
    // A client that waits for this end knows then that the disk is closed.
    await this.#transport.end();
  }

  /** @returns whether nothing is under way any more. */
  async #serve(agreed: Agreed, session: Session): Promise<boolean> {
    this.exportName = agreed.transmit.name;
    try {
      return await this.#transmit(agreed, session.reader.leftover(), session.facts());
    } finally {
      await agreed.transmit.device.close?.();
    }
  }

  /** Hangs up when a handshake takes too long. */
  async #inTime<T>(negotiation: Promise<T>): Promise<T> {
    const { handshakeTimeout } = this.#host.options;
    if (handshakeTimeout === undefined) return negotiation;
    const hangUp = () => {
      const words = `the handshake is not over after ${handshakeTimeout} ms, given up`;
      this.#complain(new BlockError('ETIMEDOUT', words));
      this.abandon();
    };
    const timer = setTimeout(hangUp, handshakeTimeout);
    try {
      return await negotiation;
    } finally {
      clearTimeout(timer);
    }
  }

  #transmit(agreed: Agreed, leftover: Uint8Array, facts: ListRequest): Promise<boolean> {
    const { options, busy } = this.#host;
    const { observer } = options;
    return new Promise(resolve => {
      const finished = () => {
        this.#transmission = undefined;
        busy.delete(this);
        resolve(true);
      };
      let moving = false;
      const onBusy = () => {
        if (moving) return;
        moving = true;
        void this.#handOver(transmission, agreed, facts).then(elsewhere => {
          moving = false;
          if (elsewhere) finished();
          else if (this.#transmission) busy.add(this);
        });
      };
      const host = {
        threads: options.threads ?? DEFAULT_THREADS,
        gone: this.#gone,
        share: () => this.#host.share(),
        counters: this.statistics,
        onError: (error: unknown) => this.#complain(error),
        // An observer of requests sees those of this thread.
        ...(observer?.request ? { onRequest: observer.request.bind(observer, this) } : { onBusy }),
      };
      const { transmit, terms } = agreed;
      const transmission = new Transmission(
        this.#transport,
        transmit,
        terms,
        host,
        leftover,
        finished,
      );
      this.#transmission = transmission;
      void this.#givenUp.then(() => {
        resolve(false);
        finished();
      });
      transmission.start();
      if (this.#gone.signal.aborted) transmission.close();
    });
  }

  /**
   * The connection has become busy: if others keep this thread busy already, and another one can make
   * the same device again, it goes on there.
   * @returns whether it has, to its end.
   */
  async #handOver(
    transmission: Transmission,
    { transmit: { device, name, readOnly }, terms }: Agreed,
    { tls, peer }: ListRequest,
  ): Promise<boolean> {
    const { options, threads, busy } = this.#host;
    const { recipe } = device;
    if (!this.#transport.duplicate) return false;
    const others = busy.size - (busy.has(this) ? 1 : 0);
    const thread = recipe && threads?.lighterThan(others);
    if (!thread) return false;
    const leave = async (): Promise<Handover | undefined> => {
      const fd = this.#transport.duplicate?.();
      if (fd === undefined) return undefined;
      const leftover = await transmission.leave();
      if (leftover === undefined) {
        closeSync(fd);
        return undefined;
      }
      this.#transport.destroy();
      options.observer?.debug?.('a busy connection goes on in another thread', this);
      return { fd, terms, leftover, threads: options.threads ?? DEFAULT_THREADS };
    };
    try {
      const request = { exportName: name, readOnly, tls, peer };
      return await thread.serve({ recipe, request }, leave, {
        error: error => this.#complain(error),
        asked: statistics => this.statistics.add(statistics),
      });
    } catch (error) {
      this.#complain(error);
      return false;
    }
  }
}
