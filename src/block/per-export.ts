import type { DeviceSource, OpenRequest } from './device.ts';
import { exportKey } from './source.ts';

/** Something for each export of a source, which all of its connections share until the server ends. */
export class PerExport<T> {
  readonly #source: DeviceSource;
  readonly #made = new Map<string, T>();

  constructor(source: DeviceSource) {
    this.#source = source;
  }

  /** That of the export that a client has opened; it is made for the first one. */
  async of(request: OpenRequest, make: () => T): Promise<T> {
    const key = await exportKey(this.#source, request);
    const made = this.#made.get(key) ?? make();
    this.#made.set(key, made);
    return made;
  }

  /** Those that there are. */
  all(): Iterable<T> {
    return this.#made.values();
  }
}
