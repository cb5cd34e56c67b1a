/** What AbortSignals end here: an attempt, or requests. */

/**
 * The result of `work`, which `stop` ends when the signal is aborted; it has no effect later on.
 * @throws the signal's reason, or what `work` throws.
 */
export async function abortable<T>(
  signal: AbortSignal | undefined,
  stop: () => void,
  work: () => Promise<T>,
): Promise<T> {
  signal?.addEventListener('abort', stop, { once: true });
  try {
    signal?.throwIfAborted();
    const result = await work();
    signal?.throwIfAborted();
    return result;
  } catch (error) {
    throw signal?.aborted ? signal.reason : error;
  } finally {
    signal?.removeEventListener('abort', stop);
  }
}

/** What is done when signals are aborted, with one listener for each, as Node warns of many. */
export class AbortListeners {
  readonly #bySignal = new Map<AbortSignal, Set<() => void>>();

  add(signal: AbortSignal, listener: () => void): void {
    const all = this.#bySignal.get(signal);
    if (all) {
      all.add(listener);
      return;
    }
    this.#bySignal.set(signal, new Set([listener]));
    signal.addEventListener('abort', this.#aborted);
  }

  remove(signal: AbortSignal, listener: () => void): void {
    const all = this.#bySignal.get(signal);
    if (all?.delete(listener) && all.size === 0) this.#drop(signal);
  }

  #drop(signal: AbortSignal): void {
    this.#bySignal.delete(signal);
    signal.removeEventListener('abort', this.#aborted);
  }

  readonly #aborted = (event: Event): void => {
    const signal = event.target as AbortSignal;
    const all = this.#bySignal.get(signal);
    this.#drop(signal);
    for (const listener of all ?? []) listener();
  };
}
