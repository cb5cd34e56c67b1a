import { closeSync } from 'node:fs';
import type { Worker } from 'node:worker_threads';
import type { Recipe } from '../block/device.ts';
import { messageOf } from '../block/errors.ts';
import type { Terms } from './export.ts';
import { POOL } from './share.ts';

/** A connection in its transmission phase, on its way to another thread. */
export interface Connection {
  /** Its socket. */
  readonly fd: number;
  /** What the same device can be made of. */
  readonly recipe: Recipe;
  readonly exportName: string;
  readonly readOnly: boolean;
  readonly terms: Terms;
  /** What has come of the next requests. */
  readonly leftover: Uint8Array;
  /** Most requests under way at once. */
  readonly threads: number;
}

/** What a thread is told: to serve a connection, payloads being of the thread's pool; to end. */
export type Order =
  | {
      readonly kind: 'serve';
      readonly id: number;
      readonly pool: number;
      readonly connection: Connection;
    }
  | { readonly kind: 'close' };

/** What a thread tells: that it can serve, that a connection is over, what went wrong on one. */
export type Report =
  | { readonly kind: 'ready' }
  | { readonly kind: 'ended'; readonly id: number }
  | { readonly kind: 'error'; readonly message: string };

/** Where a server gets threads. */
export interface ThreadOptions {
  /** Most of them, beside the server's own. */
  readonly most: number;
  /** Runs `serveHandedOver` in a new one. */
  start(): Promise<Worker>;
}

/** The threads to which a busy server gives some of its connections, started when first needed. */
export class Threads {
  readonly #options: ThreadOptions;
  readonly #onError: (message: string) => void;
  readonly #running = new Set<Thread>();
  #most: number;

  constructor(options: ThreadOptions, onError: (message: string) => void) {
    this.#options = options;
    this.#onError = onError;
    this.#most = options.most;
  }

  /** How many there are now. */
  get count(): number {
    return this.#running.size;
  }

  /** The thread with the fewest connections, if it has fewer than `load`. */
  lighterThan(load: number): Thread | undefined {
    if (load === 0) return undefined;
    const [lightest] = [...this.#running].sort((a, b) => a.load - b.load);
    if (lightest?.load === 0) return lightest;
    if (this.#running.size < this.#most) return this.#start();
    return lightest && lightest.load < load ? lightest : undefined;
  }

  #start(): Thread {
    const pool = POOL / (1 + this.#options.most);
    const thread: Thread = new Thread(this.#options.start(), pool, this.#onError, () => {
      this.#running.delete(thread);
      // Another one would fail as well.
      this.#most = this.#running.size;
    });
    this.#running.add(thread);
    return thread;
  }

  /** Lets the requests under way finish, and takes no more. */
  close(): void {
    for (const thread of this.#running) thread.close();
  }

  /** Ends the threads, and every connection that they still have. */
  async end(): Promise<void> {
    await Promise.all([...this.#running].map(thread => thread.end()));
  }
}

/** A thread that serves connections which began in another one. */
export class Thread {
  /** Connections that it has or will have. */
  load = 0;
  readonly #starting: Promise<Worker>;
  /** Once it can serve; undefined if it will not. */
  readonly #worker: Promise<Worker | undefined>;
  readonly #pool: number;
  readonly #onError: (message: string) => void;
  /** What to do at the end of each connection. */
  readonly #atEnd = new Map<number, () => void>();
  #count = 0;
  #exited = false;

  /** @param onExit is told when it has ended, or could not be started. */
  constructor(
    worker: Promise<Worker>,
    pool: number,
    onError: (message: string) => void,
    onExit: () => void,
  ) {
    this.#starting = worker;
    this.#pool = pool;
    this.#onError = onError;
    this.#worker = worker.then(
      started => this.#ready(started, onExit),
      error => {
        onError(`a thread cannot be started: ${messageOf(error)}`);
        onExit();
        return undefined;
      },
    );
  }

  #ready(worker: Worker, onExit: () => void): Promise<Worker | undefined> {
    return new Promise(resolve => {
      worker.on('message', (report: Report) => {
        if (report.kind === 'ready') resolve(worker);
        else if (report.kind === 'ended') this.#atEnd.get(report.id)?.();
        else this.#onError(report.message);
      });
      worker.on('error', error => this.#onError(`a thread has failed: ${messageOf(error)}`));
      worker.on('exit', () => {
        this.#exited = true;
        onExit();
        resolve(undefined);
        for (const over of this.#atEnd.values()) over();
      });
    });
  }

  /**
   * Serves a connection to its end, once the thread runs and `leave` has taken it out of its own.
   * @returns whether it has left: not if the thread does not run, nor if `leave` gives nothing.
   */
  async serve(leave: () => Promise<Connection | undefined>): Promise<boolean> {
    this.load += 1;
    try {
      const worker = await this.#worker;
      const connection = worker && (await leave());
      if (!connection) return false;
      if (this.#exited) {
        closeSync(connection.fd);
        return true;
      }
      const id = ++this.#count;
      const order: Order = { kind: 'serve', id, pool: this.#pool, connection };
      await new Promise<void>(resolve => {
        this.#atEnd.set(id, resolve);
        worker.postMessage(order);
      });
      this.#atEnd.delete(id);
      return true;
    } finally {
      this.load -= 1;
    }
  }

  close(): void {
    const order: Order = { kind: 'close' };
    void this.#worker.then(worker => worker?.postMessage(order));
  }

  async end(): Promise<void> {
    const worker = await this.#starting.catch(() => undefined);
    await worker?.terminate();
  }
}
