import type net from 'node:net';
import type { Peer } from '../block/device.ts';

/** Receives what a transport reads. */
export interface Receiver {
  /** Where the next bytes go: at least one byte, kept for them until `received`. */
  space(): Uint8Array;
  /** Where bytes go that come together with the last ones of that space. */
  beyond?(): Uint8Array | undefined;
  /** `count` bytes, at least one, have come into the last space, and perhaps beyond it. */
  received(count: number): void;
  /** The rest of a payload is on its way. */
  readonly expecting?: boolean;
  /** Nothing more will come; an error unless the peer ended in order. Called once. */
  ended(error?: Error): void;
}

/** A byte stream both ways, such as a socket. Reads where the receiver says, writes without copying. */
export interface Transport {
  readonly peer: Peer;
  /** Bytes given to `send` that the kernel has not taken yet. */
  readonly queued: number;
  /** Called when `queued` has come back to zero, be it that all was sent or that nothing can be. */
  onDrain: (() => void) | undefined;
  /**
   * The receiver answers what it receives at once, so that the peer's next message is worth watching
   * for. Only where nothing else waits for the event loop: microtasks do not run meanwhile.
   */
  eager: boolean;
  /** Makes `receiver` the receiver from now on. */
  attach(receiver: Receiver): void;
  /** Stops and restarts reading; bytes already under way may still come. */
  pause(): void;
  resume(): void;
  /** Sends the views, at least one, in order. They must not change until they are gone. */
  send(views: readonly Uint8Array[]): void;
  /** Sends what is queued, then closes; resolves when it is closed, whatever came in between. */
  end(): Promise<void>;
  /** Closes at once. The receiver learns of it through `ended`. */
  destroy(): void;
  /**
   * Bytes that have come and can be received at once, at least `least` or none. Looks for some
   * microseconds, after `before`, if there are fewer now. Only while the receiver is being told of
   * bytes, and only where the system can do it.
   */
  ready?(least: number, before: () => void): number;
  /** Receives bytes that are ready, into one place and what comes after it into the next. */
  receive?(into: Uint8Array, next?: Uint8Array): number;
  /**
   * Looks for some microseconds for the answer to what was sent last, which spares going to sleep.
   * Only where nothing else waits for the event loop.
   */
  lookForAnswer?(): void;
  /**
   * A descriptor by which the connection goes on when this transport is destroyed; undefined if
   * there is none to be had.
   */
  duplicate?(): number | undefined;
  /** Passes descriptors to the other end, and takes them; undefined where that cannot be done. */
  readonly descriptors?: Descriptors | undefined;
  /** Its socket, for another transport: this one receives and sends nothing any more. */
  detach?(): net.Socket;
}

/** Descriptors that go with a byte of the stream. */
export interface Descriptors {
  /** Sends one byte, and a copy of the descriptor with it. */
  pass(fd: number): void;
  /**
   * Takes the next byte, while the transport is paused, and the descriptor that came with it, which is
   * the caller's to close.
   * @returns undefined when none came with it, or several.
   * @throws the signal's reason; SystemError.
   */
  take(signal: AbortSignal): Promise<number | undefined>;
}

/** Puts bytes that came elsewhere into the spaces of the receiver, which may become another meanwhile. */
export function deliver(bytes: Uint8Array, current: () => Receiver): void {
  for (let rest = bytes; rest.length > 0; ) {
    const receiver = current();
    const space = receiver.space();
    const count = Math.min(space.length, rest.length);
    space.set(rest.subarray(0, count));
    rest = rest.subarray(count);
    receiver.received(count);
  }
}
