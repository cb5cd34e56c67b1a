import type {
  BlockDevice,
  DeviceSource,
  ExportEntry,
  ListRequest,
  OpenRequest,
  Peer,
} from '../block/device.ts';
import { serialiseDevice } from '../block/serialise.ts';
import { Turns } from '../block/turns.ts';
import { PASS, wrapDevice } from '../block/wrap.ts';
import { THREAD_MODELS, type ThreadModel } from '../declare/thread-model.ts';
import { firstExport, parseExports } from './answers.ts';
import { openDevice } from './device.ts';
import type { Methods } from './methods.ts';

/** Its own word for it; without one it is asked for one thing at a time, which is safe. */
export async function threadModel(methods: Methods): Promise<ThreadModel> {
  const word = (await methods.text('thread_model', []))?.toLowerCase().replaceAll('-', '_');
  return THREAD_MODELS.find(model => model === word) ?? 'serialize_all_requests';
}

/**
 * The devices of a script that has had its parameters.
 * @param remove what is done when the server has ended and the script has been unloaded.
 * @throws BlockError
 */
export async function scriptSource(
  methods: Methods,
  readOnly: boolean,
  remove: () => void | Promise<void>,
): Promise<DeviceSource> {
  await methods.act('config_complete', []);
  const model = await threadModel(methods);
  await methods.act('get_ready', []);
  await methods.act('after_fork', []);
  return new ScriptSource(methods, model, readOnly, remove);
}

class ScriptSource implements DeviceSource {
  readonly #methods: Methods;
  readonly #model: ThreadModel;
  readonly #readOnly: boolean;
  readonly #remove: () => void | Promise<void>;
  readonly #defaults = new WeakMap<Peer, { readonly tls: boolean; readonly name: string }>();
  /** One thing at a time, in the models where that concerns all connections. */
  readonly #alone = new Turns(1);

  constructor(
    methods: Methods,
    model: ThreadModel,
    readOnly: boolean,
    remove: () => void | Promise<void>,
  ) {
    this.#methods = methods;
    this.#model = model === 'serialize_all_requests' && methods.serial ? 'parallel' : model;
    this.#readOnly = readOnly;
    this.#remove = remove;
  }

  async preconnect(): Promise<void> {
    await this.#run(() => this.#methods.act('preconnect', [String(this.#readOnly)]));
  }

  async open(request: OpenRequest): Promise<BlockDevice> {
    const { signal } = request;
    const exportName = request.exportName || (await this.defaultExport(request));
    const open = () => openDevice(this.#methods, { ...request, exportName });
    switch (this.#model) {
      case 'parallel':
        return open();
      case 'serialize_requests':
        return serialiseDevice(await open(), new Turns(1));
      case 'serialize_all_requests':
        return serialiseDevice(await this.#alone.run(open, signal), this.#alone);
      case 'serialize_connections':
        return this.#whole(open, signal);
    }
  }

  async list({ readOnly, tls }: ListRequest): Promise<ExportEntry[] | undefined> {
    const words = [String(readOnly), String(tls)];
    const output = await this.#run(() => this.#methods.bytes('list_exports', words));
    if (!output) return undefined;
    const text = Buffer.concat(output).toString();
    return this.#methods.understood('list_exports', text, () => parseExports(text));
  }

  /** Asked for once a connection, as a filter above may give another name, or none. */
  async defaultExport({ readOnly, tls, peer }: ListRequest): Promise<string> {
    const known = this.#defaults.get(peer);
    if (known?.tls === tls) return known.name;
    const words = [String(readOnly), String(tls)];
    const text = await this.#run(() => this.#methods.text('default_export', words));
    const name = firstExport(text ?? '');
    this.#defaults.set(peer, { tls, name });
    return name;
  }

  async close(): Promise<void> {
    await this.#methods.act('unload', []).catch(() => {});
    await this.#remove();
  }

  /** A device whose turn lasts until it is closed. */
  async #whole(open: () => Promise<BlockDevice>, signal: AbortSignal): Promise<BlockDevice> {
    const leave = await new Promise<() => void>((enter, refuse) => {
      const turn = this.#alone.run(() => new Promise<void>(over => enter(over)), signal);
      Promise.resolve(turn).catch(refuse);
    });
    try {
      const device = await open();
      const close = async () => {
        await device.close?.();
        leave();
      };
      return serialiseDevice(
        wrapDevice(device, { ...PASS, close, multiConn: false }),
        new Turns(1),
      );
    } catch (error) {
      leave();
      throw error;
    }
  }

  #run<T>(ask: () => Promise<T>): PromiseLike<T> | T {
    return this.#model === 'serialize_all_requests' ? this.#alone.run(ask) : ask();
  }
}
