import { abortable, controllerForMany } from './abortable.ts';
import type { BlockDevice, DeviceSource, OpenRequest } from './device.ts';
import { withRecipeOf } from './recipe.ts';
import { passSource } from './source.ts';
import { PASS, wrapDevice } from './wrap.ts';

/**
 * A source that opens each export once, and once more for reading only: all connections share that
 * device, and the last one that leaves closes it. It is opened as the first of them asks, but for as
 * long as there is any.
 */
export function shareSource(source: DeviceSource): DeviceSource {
  const devices = new Map<string, SharedDevice>();
  const open = async (request: OpenRequest): Promise<BlockDevice> => {
    const key = `${request.readOnly} ${request.exportName}`;
    let device = devices.get(key);
    while (device?.isEnding) {
      const { ended } = device;
      await abortable(request.signal, resolve => {
        ended.then(resolve);
        return () => {};
      });
      device = devices.get(key);
    }
    if (!device) {
      device = new SharedDevice(source, request);
      devices.set(key, device);
      device.ended.then(() => devices.delete(key));
    }
    return device.use(request);
  };
  return passSource(source, { open });
}

/** A device and those who use it. */
class SharedDevice {
  /** Settles when it is closed, or could not be opened. */
  readonly ended: Promise<void>;
  readonly #users = new Set<OpenRequest>();
  /** Lasts until the last client is gone. */
  readonly #life = controllerForMany();
  readonly #device: Promise<BlockDevice>;
  #end!: () => void;

  constructor(source: DeviceSource, request: OpenRequest) {
    this.ended = new Promise(resolve => {
      this.#end = resolve;
    });
    this.#device = this.#open(source, request);
  }

  /** It is being closed, or will be. */
  get isEnding(): boolean {
    return this.#life.signal.aborted;
  }

  /** The device for one more user, who closes it. */
  use(request: OpenRequest): Promise<BlockDevice> {
    const { signal } = request;
    const gone = () => {
      const deserted = [...this.#users].every(user => user.signal.aborted);
      if (deserted) this.#life.abort(signal.reason);
    };
    const leave = async () => {
      signal.removeEventListener('abort', gone);
      if (this.#users.delete(request) && this.#users.size === 0) await this.#close();
    };
    this.#users.add(request);
    signal.addEventListener('abort', gone);
    return abortable(signal, (resolve, reject) => {
      this.#device.then(
        device => resolve(withRecipeOf(device, wrapDevice(device, { ...PASS, close: leave }))),
        error => {
          void leave();
          reject(error);
        },
      );
      // Nobody is left to be told of what fails.
      return () => void leave().catch(() => {});
    });
  }

  async #open(source: DeviceSource, request: OpenRequest): Promise<BlockDevice> {
    return await source.open({
      ...request,
      signal: this.#life.signal,
      disconnect: force => {
        for (const user of this.#users) user.disconnect(force);
      },
    });
  }

  async #close(): Promise<void> {
    this.#life.abort();
    const device = await this.#device.catch(() => undefined);
    try {
      await device?.close?.();
    } finally {
      this.#end();
    }
  }
}
