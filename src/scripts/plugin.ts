import { UsageError } from '../block/errors.ts';
import type { Context, PluginDeclaration } from '../declare/declare.ts';
import type { RawParameter } from '../declare/parameters.ts';
import { Methods } from './methods.ts';
import { METHODS, type Script } from './script.ts';
import { scriptSource, threadModel } from './source.ts';

/** What a script is told of the server. */
export type ScriptContext = Pick<Context, 'debug' | 'shutdown' | 'stdioSafe'>;

/** A script, and what it has to be told. */
export interface Loaded {
  readonly script: Script;
  /** Its own parameters, bare words among them. */
  readonly parameters: readonly RawParameter[];
  /** Undoes what loading has done, when the script is not asked any more. */
  remove(): void | Promise<void>;
}

type Facts = Readonly<Record<string, string>>;
type Use<T> = (methods: Methods, remove: Loaded['remove']) => Promise<T>;

/**
 * What plugins have in common whose devices are those of scripts.
 * @param load finds the script by the plugin's words; undefined when there are none. @throws UsageError
 * @param ownFacts more lines for --dump-plugin, whatever the script.
 */
export function scriptPlugin(
  load: (words: readonly RawParameter[], context: ScriptContext) => Loaded | undefined,
  ownFacts: () => Facts | Promise<Facts>,
): Required<Pick<PluginDeclaration, 'extra' | 'facts' | 'create'>> {
  return {
    extra: true,
    async facts(words) {
      const loaded = load(words, { debug: () => {}, shutdown: () => {}, stdioSafe: true });
      const facts = { ...has(), ...(await ownFacts()) };
      if (!loaded) return facts;
      return withParameters(
        loaded,
        { shutdown: () => {}, debug: () => {} },
        async (methods, remove) => {
          const model = { thread_model: await threadModel(methods) };
          const dump = (await methods.text('dump_plugin', []).catch(() => undefined)) ?? '';
          await methods.act('unload', []).catch(() => {});
          await remove();
          return { ...model, ...facts, ...factsOf(dump) };
        },
      );
    },
    async create(_parameters, context) {
      const loaded = load(context.words, context);
      if (!loaded) throw new UsageError('script: must be given');
      return withParameters(loaded, context, (methods, remove) =>
        scriptSource(methods, context.readOnly, remove),
      );
    },
  };
}

/** Uses a script that has had its parameters. What loading has done is undone when that fails. */
async function withParameters<T>(
  { script, parameters, remove }: Loaded,
  host: Pick<Context, 'debug' | 'shutdown'>,
  use: Use<T>,
): Promise<T> {
  const methods = new Methods(script, host);
  try {
    await methods.act('load', []);
    const magic = await methods.text('magic_config_key', []);
    for (const { key = magic, value } of parameters) {
      if (key === undefined) throw new UsageError(`'${value}': expected key=value`);
      if (await methods.act('config', [key, value])) continue;
      const why = 'the script takes no parameters, as it has no config method';
      throw new UsageError(`unknown parameter '${key}': ${why}`);
    }
    return await use(methods, remove);
  } catch (error) {
    await remove();
    throw error;
  }
}

const has = (): Facts =>
  Object.fromEntries(Object.keys(METHODS).map(method => [`has_${method}`, '1']));

/** `key=value` lines. */
function factsOf(text: string): Facts {
  const lines = text.split('\n').map(line => /^([^=]*)=(.*)$/.exec(line));
  return Object.fromEntries(lines.flatMap(match => (match ? [[match[1]!, match[2]!]] : [])));
}
