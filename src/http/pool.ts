import { abortable } from '../block/abortable.ts';
import { BlockError } from '../block/errors.ts';
import type { HttpConnection } from './connection.ts';

const CLOSED = new BlockError('ESHUTDOWN', 'the disk has been closed');

interface Waiting {
  resolve(connection: HttpConnection): void;
  reject(error: unknown): void;
}

/** Connections to one place, at most so many; requests wait for one in the order in which they came. */
export class Pool {
  readonly #dial: () => Promise<HttpConnection>;
  readonly #most: number;
  readonly #all = new Set<HttpConnection>();
  readonly #idle: HttpConnection[] = [];
  readonly #waiting = new Set<Waiting>();
  #opening = 0;
  #closed = false;

  constructor(dial: () => Promise<HttpConnection>, most: number) {
    this.#dial = dial;
    this.#most = most;
  }

  /** A connection for one request, to be given back. @throws what connecting failed with. */
  take(signal?: AbortSignal): HttpConnection | Promise<HttpConnection> {
    if (this.#closed) throw CLOSED;
    const idle = this.#idle.pop();
    if (idle) return idle;
    return abortable(signal, (resolve, reject) => {
      const waiting = { resolve, reject };
      this.#waiting.add(waiting);
      this.#serve();
      return () => this.#waiting.delete(waiting);
    });
  }

  give(connection: HttpConnection): void {
    if (!connection.isOpen) return;
    this.#idle.push(connection);
    this.#serve();
  }

  close(): void {
    this.#closed = true;
    for (const waiting of this.#waiting) waiting.reject(CLOSED);
    this.#waiting.clear();
    for (const connection of this.#all) connection.close(CLOSED);
  }

  #serve(): void {
    for (const waiting of this.#waiting) {
      const connection = this.#idle.pop();
      if (!connection) break;
      this.#waiting.delete(waiting);
      waiting.resolve(connection);
    }
    while (this.#opening < this.#waiting.size && this.#all.size + this.#opening < this.#most) {
      void this.#open();
    }
  }

  async #open(): Promise<void> {
    this.#opening += 1;
    try {
      const connection = await this.#dial();
      if (this.#closed) {
        connection.close();
        return;
      }
      this.#all.add(connection);
      connection.onClosed = () => this.#lost(connection);
      this.#idle.push(connection);
    } catch (error) {
      const [first] = this.#waiting;
      if (first) this.#waiting.delete(first);
      first?.reject(error);
    } finally {
      this.#opening -= 1;
      this.#serve();
    }
  }

  #lost(connection: HttpConnection): void {
    this.#all.delete(connection);
    const at = this.#idle.indexOf(connection);
    if (at >= 0) this.#idle.splice(at, 1);
    this.#serve();
  }
}
