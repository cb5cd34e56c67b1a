import { posix } from 'node:path';
import type { RequestOptions } from '../block/device.ts';
import { type Mount, Tree } from '../formats/fs/tree.ts';
import { attempt, textOf } from './text.ts';
import type { Mountable } from './volumes.ts';

/** An operating system on a file system. */
export interface System {
  readonly root: Mountable;
  readonly type: 'linux' | 'windows';
  /** debian, fedora; windows. */
  readonly distribution: string;
  /** For people. */
  readonly product: string;
  readonly version: string;
  readonly hostname: string;
  /** Where Windows is, such as /Windows. */
  readonly windowsRoot?: string;
  readonly mounts: readonly Mount[];
}

const LINUX_SIGNS = [
  '/etc/os-release',
  '/usr/lib/os-release',
  '/etc/fstab',
  '/etc/passwd',
] as const;
const WINDOWS_SIGNS = ['/Windows/System32', '/WINDOWS/system32', '/WINNT/system32'] as const;

/** The operating systems on file systems: what has /etc of one, or Windows. @throws BlockError */
export async function findSystems(
  all: readonly Mountable[],
  options?: RequestOptions,
): Promise<readonly System[]> {
  const found: System[] = [];
  for (const root of all) {
    const tree = new Tree([{ path: '/', fileSystem: root.fileSystem }]);
    if (await firstOf(tree, LINUX_SIGNS, options))
      found.push(await linux(root, tree, all, options));
    else {
      const sign = await firstOf(tree, WINDOWS_SIGNS, options);
      if (sign !== undefined) found.push(windows(root, tree, posix.dirname(sign)));
    }
  }
  return found;
}

async function firstOf(tree: Tree, paths: readonly string[], options?: RequestOptions) {
  for (const path of paths) {
    if (await attempt(() => tree.find(path, options))) return path;
  }
  return undefined;
}

async function linux(
  root: Mountable,
  tree: Tree,
  all: readonly Mountable[],
  options?: RequestOptions,
): Promise<System> {
  const read = (path: string) => textOf(tree, path, options);
  const release = valuesOf(
    (await read('/etc/os-release')) ?? (await read('/usr/lib/os-release')) ?? '',
  );
  const { ID = 'unknown', PRETTY_NAME = 'Linux', VERSION_ID = '' } = release;
  return {
    root,
    type: 'linux',
    distribution: ID,
    product: PRETTY_NAME,
    version: VERSION_ID,
    hostname: (await read('/etc/hostname'))?.trim().split('\n')[0] ?? 'unknown',
    mounts: mountsOf(root, (await read('/etc/fstab')) ?? '', all),
  };
}

function windows(root: Mountable, { mounts }: Tree, windowsRoot: string): System {
  const named = { distribution: 'windows', product: 'Windows', version: '', hostname: 'unknown' };
  return { root, type: 'windows', mounts, windowsRoot, ...named };
}

/** `KEY=value` or `KEY="value"`, a line each. */
function valuesOf(text: string): Record<string, string> {
  const pairs = [...text.matchAll(/^([A-Z_]+)=(?:"([^"\n]*)"|'([^'\n]*)'|(.*))$/gm)];
  return Object.fromEntries(pairs.map(([, key, a, b, c]) => [key!, a ?? b ?? c ?? '']));
}

/** What /etc/fstab mounts and is there: `/` is where it stands whatever the table says. */
function mountsOf(root: Mountable, fstab: string, all: readonly Mountable[]): Mount[] {
  const mounts: Mount[] = [{ path: '/', fileSystem: root.fileSystem }];
  for (const line of fstab.split('\n')) {
    const [spec = '', at = '', , settings = ''] = line.trim().split(/\s+/).map(unescaped);
    if (spec === '' || spec.startsWith('#') || !at.startsWith('/') || at === '/') continue;
    const path = `/${at.split('/').filter(Boolean).join('/')}`;
    const found = mountableOf(spec, settings, all);
    if (found && !mounts.some(mount => mount.path === path)) {
      mounts.push({ path, fileSystem: found.fileSystem });
    }
  }
  return mounts;
}

/** Spaces and the like are octal in fstab. */
const unescaped = (word: string) =>
  word.replace(/\\([0-7]{3})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );

/** The file system that a line of fstab means. */
export function mountableOf(
  spec: string,
  settings: string,
  all: readonly Mountable[],
): Mountable | undefined {
  const volumes = all.filter(({ name }) => !name.startsWith('btrfsvol:'));
  const same = (text: string | undefined, value: string) =>
    text?.toLowerCase() === value.toLowerCase();
  const [, key, value = ''] = /^(UUID|LABEL)="?([^"]*)"?$/.exec(spec) ?? [];
  const found =
    key === 'UUID'
      ? volumes.find(({ fileSystem }) => same(fileSystem.uuid, value))
      : key === 'LABEL'
        ? volumes.find(({ fileSystem }) => fileSystem.label === value)
        : volumes.find(({ name }) => name === canonicalName(spec));
  const subvolume = /(?:^|,)subvol=\/?([^,]+)/.exec(settings)?.[1];
  if (!found || subvolume === undefined) return found;
  return all.find(({ name }) => name === `btrfsvol:${found.name}/${subvolume}`);
}

/** /dev/vda1 and /dev/mapper/vg-lv by the names that volumes have here. */
export function canonicalName(name: string): string {
  const mapped = /^\/dev\/mapper\/((?:[^-]|--)+)-((?:[^-]|--)+)$/.exec(name);
  if (mapped) return `/dev/${mapped[1]!.replaceAll('--', '-')}/${mapped[2]!.replaceAll('--', '-')}`;
  return name.replace(/^\/dev\/(?:xv|[hv])d([a-z]+\d*)$/, '/dev/sd$1');
}
