import { arch, platform } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { ParameterDeclarations } from '../../declare/parameters.ts';
import { version } from '../cli.ts';
import type { Loaded } from './load.ts';

/** Facts about this program for scripts, `key=value` lines. */
export function configText(): string {
  const [major, minor] = version().split('.');
  return lines({
    binary: process.argv[1] ?? '',
    exit_with_parent: 'yes',
    host_cpu: arch(),
    host_os: platform(),
    libdir: fileURLToPath(new URL('.', import.meta.url)).replace(/\/$/, ''),
    name: 'nbdkit',
    node: process.versions.node,
    package: 'nbdpipe',
    run_default_socket: 'unix',
    selinux: 'no',
    tls: 'no',
    version: version(),
    version_major: major!,
    version_minor: minor!,
    vsock_option: 'no',
  });
}

/** Facts about a plugin for scripts, `key=value` lines. */
export function pluginText({ file, declaration }: Loaded<'plugin'>): string {
  const parameters = Object.entries(declaration.parameters as ParameterDeclarations);
  const bare = parameters.find(([, parameter]) => parameter.bare)?.[0];
  return lines({
    path: file,
    name: declaration.name,
    description: declaration.description,
    version: version(),
    max_thread_model: 'parallel',
    thread_model: 'parallel',
    errno_is_preserved: '1',
    ...(bare !== undefined && { magic_config_key: bare }),
    ...Object.fromEntries(parameters.map(([key, { type }]) => [`parameter_${key}`, type])),
  });
}

function lines(facts: Readonly<Record<string, string>>): string {
  return Object.entries(facts)
    .map(([key, value]) => `${key}=${value}\n`)
    .join('');
}
