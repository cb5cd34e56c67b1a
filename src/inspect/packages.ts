import type { RequestOptions } from '../block/device.ts';
import type { Tree } from '../formats/fs/tree.ts';
import { textOf } from './text.ts';

/** What is installed, as its package says. */
export interface Application {
  readonly name: string;
  readonly epoch: number;
  readonly version: string;
  readonly release: string;
  readonly architecture: string;
  readonly url: string;
  readonly source: string;
  readonly summary: string;
  readonly description: string;
}

const DPKG = '/var/lib/dpkg/status';
const APK = ['/lib/apk/db/installed', '/usr/lib/apk/db/installed'] as const;
/** Bytes of such a database. */
const LARGEST = 64 << 20;
const INSTALLED = / installed$/;

/**
 * The installed packages of Debian's and Alpine's kind, by name; nothing where there is no such
 * database.
 */
export async function applicationsOf(
  tree: Tree,
  options: RequestOptions = {},
): Promise<readonly Application[]> {
  const read = (path: string) => textOf(tree, path, { ...options, most: LARGEST });
  const dpkg = await read(DPKG);
  const found = dpkg === undefined ? alpine((await firstOf(APK, read)) ?? '') : debian(dpkg);
  return found.sort((a, b) => (a.name < b.name ? -1 : Number(a.name > b.name)));
}

async function firstOf(
  paths: readonly string[],
  read: (path: string) => Promise<string | undefined>,
): Promise<string | undefined> {
  for (const path of paths) {
    const text = await read(path);
    if (text !== undefined) return text;
  }
  return undefined;
}

const NOTHING = { epoch: 0, release: '', url: '', source: '', summary: '', description: '' };

function debian(status: string): Application[] {
  return status.split('\n\n').flatMap(paragraph => {
    const fields = fieldsOf(paragraph);
    const text = (key: string) => fields.get(key)?.[0] ?? '';
    if (text('Package') === '' || !INSTALLED.test(text('Status'))) return [];
    const [summary = '', ...lines] = fields.get('Description') ?? [];
    return {
      name: text('Package'),
      ...versionOf(text('Version')),
      architecture: text('Architecture'),
      url: text('Homepage'),
      source: text('Source'),
      summary,
      description: lines.map(line => line.replace(/^ /, '')).join('\n'),
    };
  });
}

/** A field's lines; those that go on begin with a space. */
function fieldsOf(paragraph: string): ReadonlyMap<string, readonly string[]> {
  const fields = new Map<string, string[]>();
  let last: string[] | undefined;
  for (const line of paragraph.split('\n')) {
    const [, key, value] = /^([^\s:]+):\s*(.*)$/.exec(line) ?? [];
    if (key === undefined) last?.push(line);
    else {
      last = [value!];
      fields.set(key, last);
    }
  }
  return fields;
}

/** [EPOCH:]VERSION[-RELEASE] */
function versionOf(text: string): Pick<Application, 'epoch' | 'version' | 'release'> {
  const [, epoch = '0', version = text, release = ''] =
    /^(?:(\d+):)?(.+?)(?:-([^-]*))?$/.exec(text) ?? [];
  return { epoch: Number(epoch), version, release };
}

function alpine(database: string): Application[] {
  return database.split('\n\n').flatMap(paragraph => {
    const fields = new Map(paragraph.split('\n').map(line => [line.slice(0, 2), line.slice(2)]));
    const text = (key: string) => fields.get(`${key}:`) ?? '';
    if (text('P') === '') return [];
    const about = {
      architecture: text('A'),
      url: text('U'),
      source: text('o'),
      summary: text('T'),
    };
    return { ...NOTHING, name: text('P'), ...versionOf(text('V')), ...about };
  });
}
