import type { ParameterDeclaration, ParameterDeclarations } from '../../declare/parameters.ts';
import { builtIn, type Loaded } from '../load.ts';

const USAGE = `\
nbdkit [-4|--ipv4-only] [-6|--ipv6-only]
       [-D|--debug PLUGIN|FILTER|nbdkit.FLAG=N]
       [--exit-with-parent] [-e|--exportname EXPORTNAME]
       [--filter=FILTER ...] [-f|--foreground]
       [-g|--group GROUP] [-i|--ipaddr IPADDR] [--keepalive]
       [--log=stderr|syslog|null|default|/PATH]
       [--mask-handshake=MASK] [-n|--newstyle] [--no-mc] [--no-sr]
       [--no-shared-memory] [-o|--oldstyle] [-P|--pidfile PIDFILE]
       [-p|--port PORT] [--print-uri] [-r|--readonly] [--run 'COMMAND ARGS ...']
       [--selinux-label=LABEL] [-s|--single] [--swap]
       [-t|--threads THREADS] [--timeout=TIME] [--tls=off|on|require]
       [--tls-certificates=/path/to/certificates]
       [--tls-psk=/path/to/pskfile] [--tls-verify-peer]
       [-U|--unix SOCKET|-] [-u|--user USER]
       [-v|--verbose] [--vsock]
       PLUGIN [[KEY=]VALUE [KEY=VALUE [...]]]

nbdkit --dump-config

nbdkit PLUGIN --dump-plugin

nbdkit [PLUGIN] --help

nbdkit [PLUGIN] --man

nbdkit --completion bash|zsh|fish

nbdkit [-V|--version]

PLUGIN and FILTER are names from the lists below, the path of a module of
your own, such as ./mine.ts, or an npm package installed here.
`;

type Part = Loaded<'plugin'> | Loaded<'filter'>;

/** The help text, with that of the filters and the plugin on the command line. */
export function helpText(parts: readonly Part[]): string {
  if (parts.length > 0) return [USAGE, ...parts.map(partHelp)].join('\n');
  return `${USAGE}\nplugins: ${listed('plugin')}\nfilters: ${listed('filter')}\n`;
}

const listed = (kind: 'plugin' | 'filter') => builtIn(kind).join(' ');

function partHelp({ kind, file, declaration }: Part): string {
  const { name, description, parameters } = declaration;
  const lines = Object.entries(parameters as ParameterDeclarations).flatMap(parameterHelp);
  const width = Math.max(0, ...lines.map(([form]) => form.length)) + 2;
  const table = lines.map(([form, help]) => `${form.padEnd(width)}${help}\n`).join('');
  return `${kind}: ${name} (${description})\n(${file})\n${table}`;
}

function parameterHelp([key, declaration]: [string, ParameterDeclaration]): [string, string][] {
  const { type, help, required, repeat, choices, aliases = [] } = declaration;
  const notes: string[] = [];
  if (required) notes.push('required');
  if (repeat) notes.push('may be repeated');
  if (declaration.default !== undefined) notes.push(`default ${declaration.default}`);
  const value = choices?.join('|') ?? `<${type.toUpperCase()}>`;
  const text = notes.length > 0 ? `(${notes.join(', ')}) ${help}` : help;
  const others = aliases.map((alias): [string, string] => [`${alias}=${value}`, `As ${key}`]);
  return [[`${key}=${value}`, text], ...others];
}
