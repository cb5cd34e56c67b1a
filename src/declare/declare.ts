import type { BlockDevice, DeviceSource, OpenRequest } from '../block/device.ts';
import { type Maker, recipeOver } from '../block/recipe.ts';
import { passSource } from '../block/source.ts';
import type {
  GivenParameter,
  ParameterDeclarations,
  ParameterValues,
  RawParameter,
} from './parameters.ts';

/** What the server tells a plugin or filter while it is configured. */
export interface Context<D extends ParameterDeclarations = ParameterDeclarations> {
  /** `-r` was given: every device will be opened for reading only. */
  readonly readOnly: boolean;
  /** The declared parameters in the order in which they were given, repeats among them. */
  readonly given: readonly GivenParameter<D>[];
  /** For declarations with `extra`: the other words, in order; `key` is undefined for bare ones. */
  readonly extra: readonly RawParameter[];
  /** Every word of this part in the order in which they were given, as they were typed. */
  readonly words: readonly RawParameter[];
  /** Standard input and output are the command's own, and not a connection (`-s`). */
  readonly stdioSafe: boolean;
  /** Debug flags of this part: `-D NAME.FLAG=N`. */
  readonly debugFlags: ReadonlyMap<string, number>;
  /** A line for `-v`. */
  debug(message: string): void;
  /** A line on standard error whether or not `-v` was given. */
  warn(message: string): void;
  /** Ends the server as a signal does. */
  shutdown(): void;
  /**
   * Starts the command again in its own place, with these variables in its environment; what it
   * starts itself then gets those that it had. Absent where nbdkit does not run, or was started so.
   */
  readonly restart?: ((variables: Readonly<Record<string, string>>) => void) | undefined;
}

interface Declaration<D extends ParameterDeclarations> {
  readonly name: string;
  /** One line for people, without a full stop. */
  readonly description: string;
  readonly parameters: D;
  /** Keys beyond the declared ones are allowed and found in the context. */
  readonly extra?: boolean;
  /** Debug flags that it looks at. */
  readonly debugFlags?: readonly string[];
  /** Further lines of --dump-plugin, by their keys. @param words its parameters, unchecked. */
  facts?(words: readonly RawParameter[]): Facts | Promise<Facts>;
}

export type Facts = Readonly<Record<string, string>>;

/** A plugin: the default export of its module. */
export interface PluginDeclaration<D extends ParameterDeclarations = ParameterDeclarations>
  extends Declaration<D> {
  /**
   * Checks and takes the parameters, once, before the server listens.
   * @throws UsageError what is wrong with the parameters.
   */
  create(parameters: ParameterValues<D>, context: Context<D>): DeviceSource | Promise<DeviceSource>;
  /**
   * Makes a device of this plugin again, in another thread, of its `recipe.from`. With this method
   * a busy server serves several connections on several processors.
   */
  remake?: Maker;
}

/**
 * A filter: the default export of its module. One that changes each device by itself has `wrap`,
 * and then works in every thread; one that keeps something for all connections has `create`.
 */
export type FilterDeclaration<D extends ParameterDeclarations = ParameterDeclarations> =
  Declaration<D> & (Wraps<D> | Creates<D>);

interface Wraps<D extends ParameterDeclarations> {
  /** Once, before the server listens. @throws UsageError what is wrong with the parameters. */
  check?(parameters: ParameterValues<D>): void;
  /**
   * The device below as this filter shows it. It must follow from the arguments alone, as it may be
   * made again in another thread while the connection is open.
   * @throws BlockError, and then the device below is closed.
   */
  wrap(
    below: BlockDevice,
    parameters: ParameterValues<D>,
    request: OpenRequest,
  ): BlockDevice | PromiseLike<BlockDevice>;
  readonly create?: undefined;
}

interface Creates<D extends ParameterDeclarations> {
  /** As that of a plugin, over the source below, which this source closes. */
  create(
    parameters: ParameterValues<D>,
    below: DeviceSource,
    context: FilterContext<D>,
  ): DeviceSource | Promise<DeviceSource>;
  /** Makes those devices again of which the context's `again` was told. */
  readonly wrap?: Wraps<D>['wrap'];
}

export interface FilterContext<D extends ParameterDeclarations = ParameterDeclarations>
  extends Context<D> {
  /** Gives a device over another the recipe by which `wrap` makes it again, in any thread. */
  again(wrapped: BlockDevice, below: BlockDevice): BlockDevice;
}

/** A declaration with `create` does not show which kind it is. */
const KINDS = new WeakMap<object, 'plugin' | 'filter'>();

/** What a declaration was defined as, if it was. */
export const definedAs = (declaration: object) => KINDS.get(declaration);

/** Types the parameters of a plugin from its declaration. */
export function definePlugin<const D extends ParameterDeclarations>(
  declaration: PluginDeclaration<D>,
): PluginDeclaration<D> {
  KINDS.set(declaration, 'plugin');
  return declaration;
}

/** Types the parameters of a filter from its declaration. */
export function defineFilter<const D extends ParameterDeclarations>(
  declaration: FilterDeclaration<D>,
): FilterDeclaration<D> {
  KINDS.set(declaration, 'filter');
  return declaration;
}

/** The source of a filter over another. @param word what the filter is loaded by. */
export function filtered(
  filter: FilterDeclaration,
  word: string,
  parameters: ParameterValues<ParameterDeclarations>,
  below: DeviceSource,
  context: Context,
): DeviceSource | Promise<DeviceSource> {
  const again = (wrapped: BlockDevice, device: BlockDevice) => {
    if (wrapped === device) return device;
    const recipe = () => recipeOver(`filter:${word}`, parameters, device);
    return Object.defineProperty(wrapped, 'recipe', { get: recipe });
  };
  if (filter.create) return filter.create(parameters, below, { ...context, again });
  filter.check?.(parameters);
  return wrapSource(below, async (device, request) =>
    again(await filter.wrap(device, parameters, request), device),
  );
}

/** What makes the devices of a filter again; undefined where nothing does. */
export function makerOf(filter: FilterDeclaration): Maker | undefined {
  const { wrap } = filter;
  return wrap && ((parameters, [below], request) => wrap(below!, parameters, request));
}

/** A source whose devices are those of the source below, each changed by `wrap`. */
export function wrapSource(
  below: DeviceSource,
  wrap: (device: BlockDevice, request: OpenRequest) => BlockDevice | PromiseLike<BlockDevice>,
): DeviceSource {
  return passSource(below, {
    open: async request => {
      const device = await below.open(request);
      try {
        return await wrap(device, request);
      } catch (error) {
        await device.close?.();
        throw error;
      }
    },
  });
}

/** A source that opens the same kind of device for every export name. */
export function sourceOf(
  open: (request: OpenRequest) => BlockDevice | PromiseLike<BlockDevice>,
): DeviceSource {
  return { open };
}
