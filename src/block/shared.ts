import { abortable } from './abortable.ts';
import { discard } from './close-all.ts';
import type { BlockDevice, DeviceSource, OpenRequest } from './device.ts';
import { passSource } from './source.ts';
import { PASS, wrapDevice } from './wrap.ts';

/**
 * A source that opens each export once, and once more for reading only: all connections share that
 * device, and the last one that leaves closes it. It is opened as for the first connection, but for
 * as long as there is any.
 */
export function shareSource(source: DeviceSource): DeviceSource {
  const devices = new Map<string, SharedDevice>();
  const open = async (request: OpenRequest): Promise<BlockDevice> => {
    const key = `${request.readOnly} ${request.exportName}`;
    for (;;) {
      const known = devices.get(key);
      if (!known?.ending) break;
      await abortable(request.signal, resolve => {
        known.ended.then(resolve);
        return () => {};
      });
    }
    let device = devices.get(key);
    if (!device) {
      const fresh = new SharedDevice(source, request);
      device = fresh;
      devices.set(key, fresh);
      fresh.ended.then(() => devices.delete(key));
    }
    return device.use(request);
  };
  return passSource(source, { open });
}

/** A device and who uses it. */
class SharedDevice {
  readonly ended: Promise<void>;
  readonly #users = new Set<OpenRequest>();
  readonly #life = new AbortController();
  readonly #device: Promise<BlockDevice>;
  #end!: () => void;

  constructor(source: DeviceSource, request: OpenRequest) {
    this.ended = new Promise(resolve => {
      this.#end = resolve;
    });
    const open = async () => {
      return await source.open({
        ...request,
        signal: this.#life.signal,
        disconnect: force => {
          for (const user of this.#users) user.disconnect(force);
        },
      });
    };
    this.#device = open();
    this.#device.catch(this.#end);
  }

  /** Whether all users have gone; it is closed, or will be. */
  get ending(): boolean {
    return this.#life.signal.aborted;
  }
}
