import { UsageError } from '../../block/errors.ts';
import { splitOptions } from './option-text.ts';

/** What is to be opened, as `--image-opts` and `json:` names say it. */
export interface Described {
  /** The name of a file, or a URI. */
  readonly file: string;
  readonly format?: string;
  /** The id of the secret that opens it. */
  readonly keySecret?: string | undefined;
}

type Flat = Readonly<Record<string, string>>;

/** @throws UsageError what cannot be understood. */
export function describedBy(text: string): Described {
  const flat: Record<string, string> = {};
  for (const { key = '', value } of splitOptions(text)) flat[key] = value;
  return fromFlat(flat);
}

/** @throws UsageError */
export function describedByJson(text: string): Described {
  let value: unknown;
  try {
    value = JSON.parse(inDoubleQuotes(text));
  } catch {
    throw new UsageError('Could not parse the JSON options');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new UsageError('Could not parse the JSON options: expected an object');
  }
  const flat: Record<string, string> = {};
  flatten(value, '', flat);
  return fromFlat(flat);
}

/** As JSON wants them: texts may stand in single quotation marks. */
function inDoubleQuotes(text: string): string {
  return text.replace(/"(?:[^"\\]|\\.)*"|'((?:[^'\\]|\\.)*)'/g, (whole, single?: string) =>
    single === undefined ? whole : `"${single.replaceAll('"', '\\"').replaceAll("\\'", "'")}"`,
  );
}

function flatten(value: object, before: string, into: Record<string, string>): void {
  for (const [key, each] of Object.entries(value)) {
    if (typeof each === 'object' && each !== null) flatten(each, `${before}${key}.`, into);
    else into[before + key] = String(each);
  }
}

/** Protocols, which say where a file is and not what is in it. */
const PROTOCOLS = new Set(['file', 'host_device', 'nbd', 'http', 'https']);

function fromFlat(flat: Flat): Described {
  const driver = flat.driver;
  const below = Object.fromEntries(
    Object.entries(flat).flatMap(([key, value]) =>
      key.startsWith('file.') ? [[key.slice('file.'.length), value]] : [],
    ),
  );
  const isProtocol = driver !== undefined && PROTOCOLS.has(driver);
  const file = isProtocol ? nameOf(flat) : (nameOf(below) ?? nameOf(flat));
  if (file === undefined) throw new UsageError('A block device must be specified for "file"');
  return {
    file,
    ...(driver !== undefined && !isProtocol && { format: driver }),
    keySecret: flat['encrypt.key-secret'] ?? flat['key-secret'],
  };
}

function nameOf(flat: Flat): string | undefined {
  if (flat.driver !== 'nbd') return flat.filename ?? flat.url;
  const name = encodeURIComponent(flat.export ?? '');
  const path = flat.path ?? flat['server.path'];
  if (path !== undefined) return `nbd+unix:///${name}?socket=${encodeURIComponent(path)}`;
  const host = flat.host ?? flat['server.host'] ?? 'localhost';
  return `nbd://${host}:${flat.port ?? flat['server.port'] ?? '10809'}/${name}`;
}
