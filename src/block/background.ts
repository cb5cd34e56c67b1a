import { controllerForMany } from './abortable.ts';
import type { RequestOptions } from './device.ts';

/** Work that nobody waits for, until a device is closed. What fails in it is nobody's business. */
export class Background {
  readonly #end = controllerForMany();
  readonly #running = new Set<Promise<void>>();

  /** Begins; `act` gives its requests the options that it gets. */
  start(act: (options: RequestOptions) => unknown): void {
    if (this.#end.signal.aborted) return;
    const run = async () => {
      try {
        await act({ signal: this.#end.signal });
      } catch {
        // It was only meant to help.
      }
    };
    const running = run().finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  /** Gives all up, and waits until nothing is under way. */
  async end(): Promise<void> {
    this.#end.abort(new Error('the device is being closed'));
    await Promise.all(this.#running);
  }
}
