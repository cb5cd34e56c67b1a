import { UsageError } from '../../block/errors.ts';
import { Tree } from '../../formats/fs/tree.ts';
import { architectureOf } from '../../inspect/architecture.ts';
import { type Application, applicationsOf } from '../../inspect/packages.ts';
import { findSystems, type System } from '../../inspect/system.ts';
import { print } from '../cli.ts';
import type { FilesCommand } from './commands.ts';
import { type Guest, openGuest, statusWith } from './guest.ts';
import { GUEST_OPTIONS, has } from './sources.ts';
import { disksOf } from './words.ts';
import { type Element, element, texts, xmlText } from './xml.ts';

const command: FilesCommand = {
  options: {
    ...GUEST_OPTIONS,
    noApplications: { names: ['no-applications'] },
    noIcon: { names: ['no-icon'] },
    xpath: { names: ['xpath'], value: 'required' },
  },
  help: `
Which operating systems are on disks, and what is installed, as XML:

    virt-inspector [--no-applications] -a DISK [-a DISK ...]

`,
  async run(line) {
    if (has(line, 'xpath')) throw new UsageError('--xpath: is the job of xmllint --xpath');
    const guest = await openGuest(line, disksOf(line));
    const systems = await findSystems(guest.mountables);
    if (systems.length === 0) throw new UsageError('there is no operating system on the disks');
    const applications = !has(line, 'noApplications');
    const elements: Element[] = [];
    for (const system of systems) elements.push(await systemElement(system, guest, applications));
    await print(`<?xml version="1.0"?>\n${xmlText(element('operatingsystems', elements))}`);
    return statusWith(line, guest.mountables, 0);
  },
};

export default command;

/** What libguestfs calls distributions that call themselves otherwise. */
const DISTRIBUTIONS: Readonly<Record<string, string>> = {
  alpine: 'alpinelinux',
  arch: 'archlinux',
  'opensuse-leap': 'opensuse',
  'opensuse-tumbleweed': 'opensuse',
  ol: 'oraclelinux',
  linuxmint: 'linuxmint',
};

/** How packages are made and managed. */
const PACKAGES: readonly (readonly [distributions: RegExp, format: string, manager: string])[] = [
  [/^(debian|ubuntu|linuxmint|kalilinux|raspbian)$/, 'deb', 'apt'],
  [/^(fedora|rhel|centos|rocky|almalinux|oraclelinux)$/, 'rpm', 'dnf'],
  [/^(opensuse|sles?|sled)$/, 'rpm', 'zypper'],
  [/^archlinux$/, 'pacman', 'pacman'],
  [/^alpinelinux$/, 'apk', 'apk'],
];

async function systemElement(
  system: System,
  guest: Guest,
  withApplications: boolean,
): Promise<Element> {
  const tree = new Tree(system.mounts);
  const known = (text: string) => (text === 'unknown' ? undefined : text);
  const distro = DISTRIBUTIONS[system.distribution] ?? system.distribution;
  const [major, minor = '0'] = system.version.split('.');
  const [, format, manager] = PACKAGES.find(([names]) => names.test(distro)) ?? [];
  const isLinux = system.type === 'linux';
  const applications = withApplications && isLinux ? await applicationsOf(tree) : [];
  return element('operatingsystem', [
    ...texts({
      root: system.root.name,
      name: system.type,
      arch: await architectureOf(tree),
      distro: known(distro),
      product_name: isLinux ? system.product : undefined,
      major_version: major,
      minor_version: major ? minor : undefined,
      package_format: format,
      package_management: manager,
      windows_systemroot: system.windowsRoot,
      hostname: known(system.hostname),
      osinfo: osinfoOf(distro, major, minor),
    }),
    element('mountpoints', mountElements(system, guest)),
    element('filesystems', fileSystemElements(guest)),
    element('applications', applications.map(applicationElement)),
  ]);
}

/** The name in the database of libosinfo. */
function osinfoOf(distro: string, major: string | undefined, minor: string): string | undefined {
  if (!major) return undefined;
  if (['debian', 'fedora'].includes(distro)) return `${distro}${major}`;
  if (['ubuntu', 'rhel', 'alpinelinux'].includes(distro)) return `${distro}${major}.${minor}`;
  return undefined;
}

/** The shorter path first, as libguestfs mounts them. */
function mountElements({ mounts }: System, { mountables }: Guest): Element[] {
  return [...mounts]
    .sort((a, b) => a.path.length - b.path.length)
    .map(({ path, fileSystem }) => {
      const dev = mountables.find(each => each.fileSystem === fileSystem)?.name ?? '';
      return element('mountpoint', path, { dev });
    });
}

function fileSystemElements({ mountables, volumes }: Guest): Element[] {
  const mounted = mountables.map(({ name: dev, fileSystem: { type, label, uuid } }) => ({
    dev,
    parts: texts({ type, label, uuid }),
  }));
  const swap = volumes.flatMap(({ name: dev, content }) =>
    content.kind === 'swap'
      ? { dev, parts: texts({ type: 'swap', label: content.label, uuid: content.uuid }) }
      : [],
  );
  return [...mounted, ...swap]
    .sort((a, b) => (a.dev < b.dev ? -1 : 1))
    .map(({ dev, parts }) => element('filesystem', parts, { dev }));
}

function applicationElement(application: Application): Element {
  const { name, epoch, version, release, architecture, url } = application;
  const { source, summary, description } = application;
  return element(
    'application',
    texts({
      name,
      epoch: epoch > 0 ? String(epoch) : undefined,
      version,
      release,
      arch: architecture,
      url,
      source_package: source,
      summary,
      description,
    }),
  );
}
