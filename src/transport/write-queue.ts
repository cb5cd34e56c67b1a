import type { Writable } from 'node:stream';

/** What was given to a stream of Node's and waits for the kernel. */
export class WriteQueue {
  readonly #stream: Writable;
  readonly #onDrain: () => void;
  /** Something of what was sent last waits. */
  #congested = false;

  /** @param onDrain called when nothing waits any more, be it that all was sent or nothing can be. */
  constructor(stream: Writable, onDrain: () => void) {
    this.#stream = stream;
    this.#onDrain = onDrain;
    stream.on('close', onDrain);
  }

  /** Bytes. */
  get length(): number {
    return this.#stream.destroyed ? 0 : this.#stream.writableLength;
  }

  /** Sends the views, at least one, together. */
  send(views: readonly Uint8Array[]): void {
    this.#stream.cork();
    for (let at = 0; at < views.length - 1; at++) this.#stream.write(views[at]!);
    this.#stream.write(views[views.length - 1]!, this.#written);
    this.#stream.uncork();
    this.#congested = this.#stream.writableLength > 0;
  }

  /** The stream's own 'drain' comes only after much has been queued. */
  readonly #written = (): void => {
    if (!this.#congested || this.length > 0) return;
    this.#congested = false;
    this.#onDrain();
  };
}
