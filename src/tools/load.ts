import { existsSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { messageOf, UsageError } from '../block/errors.ts';
import { checkDeclaration } from '../declare/check.ts';
import type { FilterDeclaration, PluginDeclaration } from '../declare/declare.ts';
import { nearest } from './nearest.ts';

type Kind = 'plugin' | 'filter';
/** A declaration of either kind, and the file it came from. */
export type Loaded<K extends Kind> = {
  readonly kind: K;
  readonly file: string;
  /** What `load` finds it by, whatever the directory. */
  readonly word: string;
  readonly declaration: Declared<K>;
};
type Declared<K extends Kind> = K extends 'plugin' ? PluginDeclaration : FilterDeclaration;

/** Whether this code runs from its sources rather than from the built package. */
const FROM_SOURCES = import.meta.url.endsWith('.ts');

function placeOf(kind: Kind, name: string): URL {
  const path = FROM_SOURCES ? `../${kind}s/${name}/${name}.ts` : `./${kind}-${name}.cjs`;
  return new URL(path, import.meta.url);
}

/** The names of all built-in plugins or filters, sorted. */
export function builtIn(kind: Kind): string[] {
  const folder = new URL(FROM_SOURCES ? `../${kind}s/` : './', import.meta.url);
  const pattern = FROM_SOURCES ? /^([a-z\d-]+)$/i : new RegExp(`^${kind}-([a-z\\d-]+)\\.cjs$`, 'i');
  const names = readdirSync(folder).map(file => pattern.exec(file)?.[1]);
  return names.filter(name => name !== undefined).sort();
}

/** The name within the path of a shared object of the C nbdkit, as unit files may have it. */
function shortName(kind: Kind, word: string): string {
  return new RegExp(`(?:^|/)nbdkit-([\\w-]+)-${kind}\\.so$`).exec(word)?.[1] ?? word;
}

/**
 * Loads a plugin or filter: a built-in one by its name, also where that is the path of C's, an installed
 * package by its name, anything else with a `.` or `/` in it as the path of a module.
 * @throws UsageError
 */
export async function load<K extends Kind>(kind: K, given: string): Promise<Loaded<K>> {
  const name = shortName(kind, given);
  const builtInFile = /^[\w-]+$/.test(name) ? fileURLToPath(placeOf(kind, name)) : undefined;
  const own = builtInFile !== undefined && existsSync(builtInFile);
  const file = own ? builtInFile : await foreignFile(kind, name);
  try {
    const declaration = own ? await loadBuiltIn(file) : await loadForeign(file);
    checkDeclaration(kind, declaration);
    return { kind, file, word: own ? name : file, declaration: declaration as Declared<K> };
  } catch (error) {
    throw new UsageError(`${name}: ${messageOf(error)}`);
  }
}

/** Where a module of the user's own is. */
async function foreignFile(kind: Kind, name: string): Promise<string> {
  const isPath = /[./]/.test(name) && !name.startsWith('@');
  const file = isPath ? resolve(name) : await installed(name);
  if (file !== undefined && existsSync(file)) return file;
  throw isPath ? new UsageError(`no file ${file}`) : unknown(kind, name);
}

/** The main file of a package that is installed for the current folder. */
async function installed(name: string): Promise<string | undefined> {
  const jiti = await loader();
  const parentURL = pathToFileURL(resolve('package.json'));
  const url = jiti.esmResolve(name, { parentURL, try: true });
  return url?.startsWith('file:') ? fileURLToPath(url) : undefined;
}

/** `import` is slower, by what Node needs to load ES modules at all. */
async function loadBuiltIn(file: string): Promise<unknown> {
  const module = FROM_SOURCES ? await import(file) : createRequire(import.meta.url)(file);
  return module.default;
}

function unknown(kind: Kind, name: string): UsageError {
  const names = builtIn(kind);
  const close = nearest(name, names);
  const hint =
    close === undefined ? `expected one of ${names.join(', ')}` : `did you mean '${close}'?`;
  return new UsageError(`unknown ${kind} '${name}': ${hint}`);
}

/** What loads modules of the user's own: TypeScript works on every version of Node. */
async function loader(virtualModules: Record<string, unknown> = {}) {
  const { createJiti } = await import('jiti');
  return createJiti(import.meta.url, { virtualModules, fsCache: false });
}

/** Wherever the module stands, `nbdpipe` is this program's, so that both sides know the same errors. */
async function loadForeign(file: string): Promise<unknown> {
  const library = await import('../index.ts');
  const jiti = await loader({ nbdpipe: library, 'nbdpipe/plugin': library });
  try {
    return await jiti.import(file, { default: true });
  } catch (error) {
    // Who asked for a module that is missing are mostly modules of the loader's.
    const [words] = messageOf(error).split('\nRequire stack:');
    throw new UsageError(`cannot be loaded: ${words}`);
  }
}
