import { existsSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { UsageError } from '../../block/errors.ts';
import type { FilterDeclaration, PluginDeclaration } from '../../declare/declare.ts';

type Kind = 'plugin' | 'filter';
/** A declaration of either kind, and the file it came from. */
export type Loaded<K extends Kind> = {
  readonly kind: K;
  readonly file: string;
  /** What `load` finds it by, whatever the directory. */
  readonly word: string;
  readonly declaration: K extends 'plugin' ? PluginDeclaration : FilterDeclaration;
};

/** Whether this code runs from its sources rather than from the built package. */
const FROM_SOURCES = import.meta.url.endsWith('.ts');

function placeOf(kind: Kind, name: string): URL {
  const path = FROM_SOURCES ? `../../${kind}s/${name}/${name}.ts` : `./${kind}-${name}.cjs`;
  return new URL(path, import.meta.url);
}

/** The names of all built-in plugins or filters, sorted. */
export function builtIn(kind: Kind): string[] {
  const folder = new URL(FROM_SOURCES ? `../../${kind}s/` : './', import.meta.url);
  const pattern = FROM_SOURCES ? /^([a-z\d-]+)$/i : new RegExp(`^${kind}-([a-z\\d-]+)\\.cjs$`, 'i');
  const names = readdirSync(folder).map(file => pattern.exec(file)?.[1]);
  return names.filter(name => name !== undefined).sort();
}

/**
 * Loads a plugin or filter: a built-in one by its name, anything with a `.` or `/` in it as the
 * path of a module.
 * @throws UsageError
 */
export async function load<K extends Kind>(kind: K, name: string): Promise<Loaded<K>> {
  const isPath = /[./]/.test(name);
  const place = isPath ? pathToFileURL(resolve(name)) : placeOf(kind, name);
  const file = fileURLToPath(place);
  if (!existsSync(file)) {
    throw isPath ? new UsageError(`no file ${file}`) : await unknown(kind, name);
  }
  const module = isPath ? await loadForeign(file) : await loadBuiltIn(file);
  const declaration = (module as { default?: unknown }).default;
  if (!isDeclaration(declaration)) {
    const maker = kind === 'plugin' ? 'definePlugin' : 'defineFilter';
    const right = `expected its default export to come from ${maker}`;
    throw new UsageError(`${file}: is not a ${kind}: ${right}`);
  }
  return {
    kind,
    file,
    word: isPath ? file : name,
    declaration: declaration as unknown as Loaded<K>['declaration'],
  };
}

/** `import` is slower, by what Node needs to load ES modules at all. */
async function loadBuiltIn(file: string): Promise<unknown> {
  return FROM_SOURCES ? import(file) : createRequire(import.meta.url)(file);
}

async function unknown(kind: Kind, name: string): Promise<UsageError> {
  const { nearest } = await import('../nearest.ts');
  const names = builtIn(kind);
  const close = nearest(name, names);
  const hint =
    close === undefined ? `expected one of ${names.join(', ')}` : `did you mean '${close}'?`;
  return new UsageError(`unknown ${kind} '${name}': ${hint}`);
}

/**
 * A module of the user's own. Wherever it stands, `nbdpipe/plugin` is this program's, so that both
 * sides know the same errors; TypeScript works on every version of Node.
 */
async function loadForeign(file: string): Promise<unknown> {
  const { createJiti } = await import('jiti');
  const plugin = await import('../../plugin.ts');
  const jiti = createJiti(import.meta.url, {
    virtualModules: { 'nbdpipe/plugin': plugin },
    interopDefault: false,
    fsCache: false,
  });
  try {
    return await jiti.import(file);
  } catch (error) {
    const words = error instanceof Error ? error.message : String(error);
    throw new UsageError(`${file}: cannot be loaded: ${words}`);
  }
}

function isDeclaration(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const { name, description, parameters, create, wrap } = value as Record<string, unknown>;
  return (
    typeof name === 'string' &&
    typeof description === 'string' &&
    typeof parameters === 'object' &&
    parameters !== null &&
    typeof (create ?? wrap) === 'function'
  );
}
