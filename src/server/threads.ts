import { closeSync } from 'node:fs';
import type { Worker } from 'node:worker_threads';
import type { OpenRequest, Recipe } from '../block/device.ts';
import { BlockError, type Errno, errnoOf, messageOf } from '../block/errors.ts';
import type { Terms } from './export.ts';
import type { Statistics } from './statistics.ts';

/** The device of a connection, as another thread makes it again. */
export interface Remade {
  readonly recipe: Recipe;
  /** What was asked for when it was opened. */
  readonly request: Omit<OpenRequest, 'signal' | 'disconnect'>;
}

/** A connection in its transmission phase, on its way to another thread. */
export interface Handover {
  /** Its socket. */
  readonly fd: number;
  readonly terms: Terms;
  /** What has come of the next requests. */
  readonly leftover: Uint8Array;
  /** Most requests in flight at once. */
  readonly threads: number;
}

/**
 * What a thread is told: to make a device again, to serve the connection that it is for (with its
 * payloads from the thread's pool) or to close it, and to end.
 */
export type Order =
  | { readonly kind: 'make'; readonly id: number; readonly device: Remade }
  | {
      readonly kind: 'serve';
      readonly id: number;
      readonly pool: number;
      readonly handover: Handover;
    }
  | { readonly kind: 'drop'; readonly id: number }
  | { readonly kind: 'close' };

/** What a thread tells: that it can serve, what became of a device or a connection, what went wrong. */
export type Report =
  | { readonly kind: 'ready' }
  | { readonly kind: 'made'; readonly id: number }
  | { readonly kind: 'ended'; readonly id: number; readonly statistics?: Statistics | undefined }
  | {
      readonly kind: 'error';
      readonly id?: number | undefined;
      readonly errno: Errno;
      readonly message: string;
    };

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
  readonly #pool: number;
  readonly #onError: (error: unknown) => void;
  readonly #running = new Set<Thread>();
  #most: number;

  /** @param pool bytes of payload that the connections of a thread may hold together. */
  constructor(options: ThreadOptions, pool: number, onError: (error: unknown) => void) {
    this.#options = options;
    this.#pool = pool;
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
    const thread: Thread = new Thread(this.#options.start(), this.#pool, this.#onError, () => {
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

/** What a connection in another thread is told. */
interface Listener {
  made(): void;
  error(error: BlockError): void;
  ended(statistics?: Statistics): void;
}

/** Whom a thread tells of the connection that it serves. */
export interface Absent {
  error(error: unknown): void;
  /** What it was asked for there, when it has ended. */
  asked(statistics: Statistics): void;
}

/** A thread that serves connections which began in another one. */
export class Thread {
  /** Connections that it has or will have. */
  load = 0;
  readonly #starting: Promise<Worker>;
  /** Once it can serve; undefined if it will not. */
  readonly #worker: Promise<Worker | undefined>;
  readonly #pool: number;
  readonly #onError: (error: unknown) => void;
  readonly #listeners = new Map<number, Listener>();
  #count = 0;
  #exited = false;

  /** @param onExit is told when it has ended, or could not be started. */
  constructor(
    worker: Promise<Worker>,
    pool: number,
    onError: (error: unknown) => void,
    onExit: () => void,
  ) {
    this.#starting = worker;
    this.#pool = pool;
    this.#onError = onError;
    this.#worker = worker.then(
      started => this.#ready(started, onExit),
      error => {
        onError(failure('cannot be started', error));
        onExit();
        return undefined;
      },
    );
  }

  #ready(worker: Worker, onExit: () => void): Promise<Worker | undefined> {
    return new Promise(resolve => {
      worker.on('message', (report: Report) => {
        if (report.kind === 'ready') resolve(worker);
        else this.#take(report);
      });
      worker.on('error', error => this.#onError(failure('has failed', error)));
      worker.on('exit', () => {
        this.#exited = true;
        onExit();
        resolve(undefined);
        for (const listener of this.#listeners.values()) listener.ended();
      });
    });
  }

  #take(report: Exclude<Report, { kind: 'ready' }>): void {
    const listener = report.id === undefined ? undefined : this.#listeners.get(report.id);
    if (report.kind === 'made') listener?.made();
    else if (report.kind === 'ended') listener?.ended(report.statistics);
    else {
      const error = new BlockError(report.errno, report.message);
      if (listener) listener.error(error);
      else this.#onError(error);
    }
  }

  /**
   * Serves a connection to its end, once the thread has made its device again and `leave` has taken
   * it out of its own thread.
   * @returns whether it has left: not if the thread does not run, cannot make the device, or if
   * `leave` gives nothing.
   */
  async serve(
    device: Remade,
    leave: () => Promise<Handover | undefined>,
    client: Absent,
  ): Promise<boolean> {
    const onError = client.error.bind(client);
    this.load += 1;
    const id = ++this.#count;
    try {
      const worker = await this.#worker;
      if (!worker || !(await this.#make(worker, id, device, onError))) return false;
      const ended = new Promise<void>(resolve => {
        const over = (statistics?: Statistics) => {
          if (statistics) client.asked(statistics);
          resolve();
        };
        this.#listeners.set(id, { made: () => {}, error: onError, ended: over });
      });
      const handover = await leave();
      if (!handover || this.#exited) {
        if (handover) closeSync(handover.fd);
        this.#tell(worker, { kind: 'drop', id });
        return handover !== undefined;
      }
      this.#tell(worker, { kind: 'serve', id, pool: this.#pool, handover });
      await ended;
      return true;
    } finally {
      this.#listeners.delete(id);
      this.load -= 1;
    }
  }

  /** Whether the thread has made the device; until then the connection stays where it is. */
  #make(
    worker: Worker,
    id: number,
    device: Remade,
    onError: (error: unknown) => void,
  ): Promise<boolean> {
    return new Promise(resolve => {
      this.#listeners.set(id, {
        made: () => resolve(true),
        error: onError,
        ended: () => resolve(false),
      });
      this.#tell(worker, { kind: 'make', id, device });
    });
  }

  #tell(worker: Worker, order: Order): void {
    worker.postMessage(order);
  }

  close(): void {
    void this.#worker.then(worker => worker && this.#tell(worker, { kind: 'close' }));
  }

  async end(): Promise<void> {
    const worker = await this.#starting.catch(() => undefined);
    await worker?.terminate();
  }
}

function failure(what: string, cause: unknown): BlockError {
  return new BlockError(errnoOf(cause), `a thread ${what}: ${messageOf(cause)}`, { cause });
}
