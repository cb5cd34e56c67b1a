import type { DeviceSource } from '../../block/device.ts';
import { messageOf, UsageError } from '../../block/errors.ts';
import { checkSource } from '../../declare/check.ts';
import { type Context, filtered } from '../../declare/declare.ts';
import {
  declaredKey,
  isSecret,
  type ParameterDeclarations,
  type ParameterValues,
  type Parsed,
  parseParameters,
  type RawParameter,
  splitParameter,
} from '../../declare/parameters.ts';
import type { Loaded } from '../load.ts';
import { type Log, stackOf } from './log.ts';
import type { DebugFlag, Where } from './options.ts';
import { PARAMETER_READER } from './parameter-reader.ts';

/** A plugin under its filters, the first of them nearest the client. */
export interface Stack {
  readonly filters: readonly Loaded<'filter'>[];
  readonly plugin: Loaded<'plugin'>;
}

/** What the parts of a stack are told of the server. */
export interface Host {
  readonly readOnly: boolean;
  readonly where: Where;
  readonly debugFlags: readonly DebugFlag[];
  readonly log: Log;
  /** Ends the server. */
  shutdown(): void;
  readonly restart?: Context['restart'];
  /** Shows what the source of a part is asked for. */
  readonly trace?: ((part: string, source: DeviceSource) => DeviceSource) | undefined;
}

/** What went wrong in one part of a stack. */
export class PartError extends UsageError {
  readonly part: string;

  constructor(part: string, cause: unknown) {
    super(messageOf(cause), cause instanceof UsageError ? cause.excerpt : undefined);
    this.part = part;
    this.cause = cause;
  }
}

type Part = Loaded<'filter'> | Loaded<'plugin'>;

/**
 * Gives each `key=value` to the first filter that declares the key, else to the plugin, and makes
 * the source of the whole stack, when all the words are understood.
 * @throws PartError
 */
export async function configure(
  { filters, plugin }: Stack,
  words: readonly string[],
  host: Host,
): Promise<DeviceSource> {
  warnOfUnusedFlags([...filters, plugin], host);
  const dealt = deal(filters, words);
  const make = (part: Part, work: () => DeviceSource | Promise<DeviceSource>) =>
    named(part, host.log, async () => {
      const { name } = part.declaration;
      const source = checkSource(name, await work());
      return host.trace?.(name, source) ?? source;
    });
  const forFilters = filters.map((filter, index) =>
    understood(filter, dealt.filters[index]!, host),
  );
  const { values, context } = understood(plugin, dealt.plugin, host);
  let source = await make(plugin, () => plugin.declaration.create(values, context));
  for (const [index, filter] of [...filters.entries()].reverse()) {
    const own = forFilters[index]!;
    const below = source;
    try {
      source = await make(filter, () =>
        filtered(filter.declaration, filter.word, own.values, below, own.context),
      );
    } catch (error) {
      await below.close?.();
      throw error;
    }
  }
  return source;
}

/** Which part gets which word: a key goes to the first filter that declares it. */
export function deal(filters: readonly Loaded<'filter'>[], words: readonly string[]) {
  const forFilters: RawParameter[][] = filters.map(() => []);
  const forPlugin: RawParameter[] = [];
  for (const parameter of words.map(splitParameter)) {
    const { key } = parameter;
    const declares = (part: Part) =>
      key !== undefined && declaredKey(part.declaration.parameters, key) !== undefined;
    const index = filters.findIndex(declares);
    (forFilters[index] ?? forPlugin).push(parameter);
  }
  return { filters: forFilters, plugin: forPlugin };
}

/** The words of a part, and what else it is told. */
function understood(part: Part, words: readonly RawParameter[], host: Host) {
  const { name, extra, parameters } = part.declaration;
  for (const word of words) {
    const shown = isSecret(parameters, word) ? '...' : word.value;
    host.log.debug(`${name}: config key=${word.key ?? '(none)'}, value=${shown}`);
  }
  let parsed: Parsed;
  try {
    parsed = parseParameters(parameters, words, PARAMETER_READER, extra);
  } catch (error) {
    throw new PartError(name, error);
  }
  const context: Context = {
    readOnly: host.readOnly,
    given: parsed.given,
    extra: parsed.extra,
    words,
    stdioSafe: host.where.kind !== 'stdio',
    debugFlags: flagsOf(name, host),
    debug: message => host.log.debug(message, name),
    warn: message => host.log.error(message, name),
    shutdown: host.shutdown,
    restart: host.restart,
  };
  return { values: parsed.values as ParameterValues<ParameterDeclarations>, context };
}

async function named<T>({ declaration }: Part, log: Log, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    for (const line of stackOf(error)) log.debug(line, declaration.name);
    throw new PartError(declaration.name, error);
  }
}

function flagsOf(name: string, { debugFlags }: Host): Map<string, number> {
  const own = debugFlags.filter(({ part }) => part === name);
  return new Map(own.map(({ flag, value }) => [flag, value]));
}

/** Those that the server looks at. */
const SERVER_FLAGS: readonly string[] = ['backend.controlpath', 'backend.datapath'];

function warnOfUnusedFlags(parts: readonly Part[], { debugFlags, log }: Host): void {
  const known = new Map([['nbdkit', SERVER_FLAGS]]);
  for (const { declaration } of parts) known.set(declaration.name, declaration.debugFlags ?? []);
  for (const { part, flag } of debugFlags) {
    const flags = known.get(part);
    if (!flags) log.warn(`debug flag -D ${part}.${flag} was not used`);
    else if (!flags.includes(flag)) log.warn(`-D ${part}.${flag}: ${part} has no such debug flag`);
  }
}

/** The plugin needs a name. @throws UsageError */
export function pluginName(words: readonly string[]): string {
  const [name] = words;
  if (name === undefined) {
    throw new UsageError('no plugin is given: expected nbdkit PLUGIN [KEY=VALUE ...], see --help');
  }
  return name;
}
