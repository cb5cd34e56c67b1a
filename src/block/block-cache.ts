import { isPromise } from './answer.ts';
import type { RequestOptions } from './device.ts';
import { Flight } from './flight.ts';

/** What can be kept: buffers and arrays of numbers. */
interface Bytes {
  readonly byteLength: number;
}

interface Kept<V extends Bytes = Bytes> {
  readonly value: V;
  /** Takes it out of its cache. */
  readonly drop: () => void;
}

/** Bytes that one or several caches may keep together; the least recently used go first. */
export class Budget {
  #room: number;
  readonly #kept = new Set<Kept>();

  /** @param bytes most of what is kept at once. */
  constructor(bytes: number) {
    this.#room = bytes;
  }

  take(kept: Kept): void {
    this.#kept.add(kept);
    this.#room -= kept.value.byteLength;
    for (const oldest of this.#kept) {
      if (this.#room >= 0) return;
      oldest.drop();
    }
  }

  use(kept: Kept): void {
    this.#kept.delete(kept);
    this.#kept.add(kept);
  }

  giveBack(kept: Kept): void {
    this.#kept.delete(kept);
    this.#room += kept.value.byteLength;
  }
}

/**
 * Keeps what it takes time to make, within a budget. Values are the cache's: nobody writes into
 * them, and whoever makes one gives it bytes of its own.
 * @typeParam A what `make` answers; `V` for a cache that never waits, and then it answers at once.
 */
export class BlockCache<K, V extends Bytes, A extends V | PromiseLike<V> = V | PromiseLike<V>> {
  readonly #budget: Budget;
  readonly #dropped: ((value: V) => void) | undefined;
  readonly #kept = new Map<K, Kept<V>>();
  readonly #flights = new Map<K, Flight<V>>();

  /** @param dropped is told of each value that is kept no longer. */
  constructor(budget: Budget, dropped?: (value: V) => void) {
    this.#budget = budget;
    this.#dropped = dropped;
  }

  /**
   * The value of a key. It is made once for all who ask meanwhile; `make` is aborted by the options
   * that it gets when all of them have given up, and when it fails, so do they.
   */
  get(key: K, make: (options: RequestOptions) => A, options?: RequestOptions): A {
    const kept = this.#kept.get(key);
    if (kept) {
      this.#budget.use(kept);
      return kept.value as A;
    }
    const flight = this.#flights.get(key) ?? this.#make(key, make);
    return (flight instanceof Flight ? flight.join(options?.signal) : flight) as A;
  }

  /** The value of a key, if it is there. */
  peek(key: K): V | undefined {
    return this.#kept.get(key)?.value;
  }

  /** Whether a value is there or on its way. */
  has(key: K): boolean {
    return this.#kept.has(key) || this.#flights.has(key);
  }

  /** Forgets a key; what is being made for it is not kept. */
  delete(key: K): void {
    this.#flights.delete(key);
    this.#kept.get(key)?.drop();
  }

  clear(): void {
    this.#flights.clear();
    for (const { drop } of this.#kept.values()) drop();
  }

  #make(key: K, make: (options: RequestOptions) => A): V | Flight<V> {
    const flight = new Flight<V>(() => this.#land(key, flight));
    const made: V | PromiseLike<V> = make(flight);
    if (!isPromise(made)) return this.#keep(key, made);
    this.#flights.set(key, flight);
    const landed = made.then(
      value => (this.#land(key, flight) ? this.#keep(key, value) : value),
      error => {
        this.#land(key, flight);
        throw error;
      },
    );
    flight.fly(landed);
    return flight;
  }

  /** Whether what comes of a flight is still wanted. */
  #land(key: K, flight: Flight<V>): boolean {
    return this.#flights.get(key) === flight && this.#flights.delete(key);
  }

  #keep(key: K, value: V): V {
    const kept = {
      value,
      drop: () => {
        this.#kept.delete(key);
        this.#budget.giveBack(kept);
        this.#dropped?.(value);
      },
    };
    this.#kept.set(key, kept);
    this.#budget.take(kept);
    return value;
  }
}
