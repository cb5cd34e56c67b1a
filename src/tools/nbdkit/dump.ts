import { arch, endianness } from 'node:os';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Facts, PluginDeclaration } from '../../declare/declare.ts';
import type { ParameterDeclarations } from '../../declare/parameters.ts';
import { NBDKIT_RELEASE } from '../../declare/release.ts';
import { strictest } from '../../declare/thread-model.ts';
import { version } from '../cli.ts';
import { deal, type Stack } from './configure.ts';

const CPUS: Readonly<Record<string, string>> = { x64: 'x86_64', arm64: 'aarch64', ia32: 'i686' };
const SYSTEMS: Readonly<Record<string, string>> = { linux: 'linux-gnu', win32: 'mingw32' };

/** Facts about this program for scripts, `key=value` lines, sorted as those of the C nbdkit. */
export function configText(): string {
  const [major, minor] = NBDKIT_RELEASE.split('.');
  const home = fileURLToPath(new URL('.', import.meta.url)).replace(/\/$/, '');
  const program = process.argv[1] ?? '';
  const linux = process.platform === 'linux';
  return lines({
    binary: program,
    bindir: dirname(program),
    exit_with_parent: 'yes',
    filterdir: home,
    host_cpu: CPUS[arch()] ?? arch(),
    host_os: SYSTEMS[process.platform] ?? process.platform,
    libdir: home,
    mandir: `${home}/man`,
    name: 'nbdkit',
    node: process.versions.node,
    package: 'nbdpipe',
    plugindir: home,
    root_tls_certificates_dir: '/etc/pki/nbdkit',
    run_default_socket: 'unix',
    sbindir: dirname(program),
    selinux: yes(linux),
    sysconfdir: '/etc',
    timeout_option: 'yes',
    tls: 'yes',
    version: NBDKIT_RELEASE,
    version_extra: `nbdpipe ${version()}`,
    version_major: major!,
    version_minor: minor!,
    vsock_option: yes(linux && endianness() === 'LE'),
    zstd: 'yes',
  });
}

/** Facts about a plugin under its filters for scripts, `key=value` lines. */
export async function dumpText({ filters, plugin }: Stack, words: readonly string[]) {
  const { declaration, file, word } = plugin;
  const parameters = Object.entries(declaration.parameters as ParameterDeclarations);
  const bare = parameters.find(([, parameter]) => parameter.bare)?.[0];
  const dealt = deal(filters, words);
  const facts: Facts[] = [(await declaration.facts?.(dealt.plugin)) ?? {}];
  for (const [index, filter] of filters.entries()) {
    facts.push((await filter.declaration.facts?.(dealt.filters[index]!)) ?? {});
  }
  const models = facts.flatMap(({ thread_model: model }) => model ?? []);
  return lines({
    path: file,
    name: declaration.name,
    ...(word === declaration.name && { version: NBDKIT_RELEASE }),
    api_version: '2',
    max_thread_model: 'parallel',
    thread_model: 'parallel',
    errno_is_preserved: '1',
    ...(bare !== undefined && { magic_config_key: bare }),
    ...callbacks(declaration),
    description: declaration.description,
    ...Object.fromEntries(parameters.map(([key, { type }]) => [`parameter_${key}`, type])),
    ...Object.assign({}, ...facts, { thread_model: strictest(models) }),
  });
}

/** Those that are there for certain; what else a disk can do is known when it is open. */
function callbacks({ parameters, extra = false, facts }: PluginDeclaration): Facts {
  const configured = extra || Object.keys(parameters).length > 0;
  return {
    ...(facts && { has_dump_plugin: '1' }),
    ...(configured && { has_config: '1', has_config_help: '1' }),
    has_open: '1',
    has_get_size: '1',
    has_pread: '1',
  };
}

const yes = (is: boolean) => (is ? 'yes' : 'no');

function lines(facts: Readonly<Record<string, string>>): string {
  return Object.entries(facts)
    .map(([key, value]) => `${key}=${value}\n`)
    .join('');
}
