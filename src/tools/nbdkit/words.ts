/** What the words of the command line may be, for shell completion. */
import type { ParameterDeclaration } from '../../declare/parameters.ts';
import type { CommandLine, Values } from '../cli.ts';
import { builtIn, type Loaded, load } from '../load.ts';
import type { CompletionWords } from '../standard.ts';
import { Given, type OptionKey } from './options.ts';

/** The plugins first, then the keys of the plugin and the filters. */
export async function wordsAfter(line: CommandLine<OptionKey>): Promise<CompletionWords> {
  const [name] = line.words;
  if (name === undefined) return { words: builtIn('plugin') };
  const filters = new Given(line.given).values('filter').map(filter => load('filter', filter));
  const parts = await Promise.all([load('plugin', name), ...filters]);
  return { keys: Object.assign({}, ...parts.map(keysOf)) };
}

function keysOf({ declaration }: Loaded<'plugin'> | Loaded<'filter'>): Record<string, Values> {
  const parameters = Object.entries<ParameterDeclaration>(declaration.parameters);
  return Object.fromEntries(parameters.map(([key, parameter]) => [key, valuesOf(parameter)]));
}

function valuesOf({ type, choices }: ParameterDeclaration): Values {
  if (choices) return choices;
  if (type === 'boolean' || type === 'switch') return ['true', 'false'];
  return type === 'path' ? 'file' : [];
}
