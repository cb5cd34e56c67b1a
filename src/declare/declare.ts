import type { BlockDevice, DeviceSource, OpenRequest } from '../block/device.ts';
import type { ParameterDeclarations, ParameterValues } from './parameters.ts';

/** What the server tells a plugin or filter while it is configured. */
export interface Context {
  /** `-r` was given: every device will be opened for reading only. */
  readonly readOnly: boolean;
  /** Undeclared `key=value` words, for declarations with `extra`. */
  readonly extra: ReadonlyMap<string, string>;
  /** The keys of the parameters in the order in which they were given; a bare word has its key. */
  readonly order: readonly string[];
  /** Debug flags of this part: `-D NAME.FLAG=N`. */
  readonly debugFlags: ReadonlyMap<string, number>;
  /** A line for `-v`. */
  debug(message: string): void;
  /** A line on standard error whether or not `-v` was given. */
  warn(message: string): void;
}

interface Declaration<D extends ParameterDeclarations> {
  readonly name: string;
  /** One line for people, without a full stop. */
  readonly description: string;
  readonly parameters: D;
  /** Keys beyond the declared ones are allowed and found in the context. */
  readonly extra?: boolean;
}

/** A plugin: the default export of its module. */
export interface PluginDeclaration<D extends ParameterDeclarations = ParameterDeclarations>
  extends Declaration<D> {
  /**
   * Checks and takes the parameters, once, before the server listens.
   * @throws UsageError what is wrong with the parameters.
   */
  create(parameters: ParameterValues<D>, context: Context): DeviceSource | Promise<DeviceSource>;
  /**
   * Makes a device again, in another thread, of what it gave as `portable`. With this method a busy
   * server serves several connections on several processors.
   */
  revive?(portable: unknown): BlockDevice;
}

/** A filter: the default export of its module. A plugin with one more input, the source below. */
export interface FilterDeclaration<D extends ParameterDeclarations = ParameterDeclarations>
  extends Declaration<D> {
  create(
    parameters: ParameterValues<D>,
    below: DeviceSource,
    context: Context,
  ): DeviceSource | Promise<DeviceSource>;
}

/** Types the parameters of a plugin from its declaration. */
export function definePlugin<const D extends ParameterDeclarations>(
  declaration: PluginDeclaration<D>,
): PluginDeclaration<D> {
  return declaration;
}

/** Types the parameters of a filter from its declaration. */
export function defineFilter<const D extends ParameterDeclarations>(
  declaration: FilterDeclaration<D>,
): FilterDeclaration<D> {
  return declaration;
}

/** A source whose devices are those of the source below, each changed by `wrap`. */
export function wrapSource(
  below: DeviceSource,
  wrap: (device: BlockDevice, request: OpenRequest) => BlockDevice | Promise<BlockDevice>,
): DeviceSource {
  return {
    ...passSource(below),
    open: async request => {
      const device = await below.open(request);
      try {
        return await wrap(device, request);
      } catch (error) {
        await device.close?.();
        throw error;
      }
    },
  };
}

/** The source below, unchanged; its methods keep their `this`. */
export function passSource(below: DeviceSource): DeviceSource {
  return {
    open: request => below.open(request),
    ...(below.list && { list: request => below.list!(request) }),
    ...(below.defaultExport && { defaultExport: request => below.defaultExport!(request) }),
    ...(below.close && { close: () => below.close!() }),
  };
}

/** A source that opens the same kind of device for every export name. */
export function sourceOf(
  open: (request: OpenRequest) => BlockDevice | Promise<BlockDevice>,
): DeviceSource {
  return { open };
}
