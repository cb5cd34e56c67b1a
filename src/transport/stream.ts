import type { Readable, Writable } from 'node:stream';
import type { Peer } from '../block/device.ts';
import { deliver, type Receiver, type Transport } from './transport.ts';
import { WriteQueue } from './write-queue.ts';

/** A transport over any pair of streams, such as standard input and output. */
export class StreamTransport implements Transport {
  readonly peer: Peer;
  onDrain: (() => void) | undefined;
  eager = false;
  readonly #input: Readable;
  readonly #output: Writable;
  readonly #queue: WriteQueue;
  #receiver: Receiver | undefined;
  #done = false;
  #error: Error | undefined;

  /** The streams are this transport's from now on. */
  constructor(input: Readable, output: Writable, peer: Peer = { family: 'pipe' }) {
    this.#input = input;
    this.#output = output;
    this.peer = peer;
    input.pause();
    input.on('data', (bytes: Buffer) => deliver(bytes, () => this.#receiver!));
    input.on('end', () => this.#end());
    input.on('error', error => this.#end(error));
    input.on('close', () => this.#end(new Error('the connection was closed')));
    output.on('error', error => this.#end(error));
    this.#queue = new WriteQueue(output, () => this.onDrain?.());
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
    this.#input.pause();
  }

  resume(): void {
    this.#input.resume();
  }

  send(views: readonly Uint8Array[]): void {
    this.#queue.send(views);
  }

  end(): Promise<void> {
    return new Promise(resolve => {
      if (this.#output.closed) resolve();
      else this.#output.once('close', () => resolve());
      this.#output.end(() => this.destroy());
    });
  }

  destroy(): void {
    this.#input.destroy();
    this.#output.destroy();
  }

  #end(error?: Error): void {
    if (this.#done) return;
    this.#done = true;
    this.#error = error;
    this.#receiver?.ended(error);
  }
}
