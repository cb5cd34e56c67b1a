import { UsageError } from '../block/errors.ts';
import type { NbdClient } from '../client/client.ts';
import { goOrClose, negotiate } from '../client/connect.ts';
import { Negotiation, type NegotiationOptions } from '../client/negotiation.ts';
import { stackSource } from '../declare/configure.ts';
import type { Disk } from '../handle/disk.ts';
import { type OpenOptions, open } from '../handle/open.ts';
import { formatNbdUri, isNbdUri, isWebUrl, parseNbdUri, type UriAddress } from '../protocol/uri.ts';

/** Where disks come from. */
export interface Origin {
  /** What errors call it. */
  readonly name: string;
  /** A server, which may go away; one that was started for us; or a disk that needs none. */
  readonly kind: 'server' | 'command' | 'local';
  open(options: OpenOptions): Promise<Disk>;
  /** The names of its exports; absent: there is one disk only. */
  list?(): Promise<readonly string[]>;
  /** Ends what was started. */
  close(): Promise<void>;
}

/** To a server on another machine, if it allows several. */
const MOST_CONNECTIONS = 4;

const nothing = async () => {};

/** A URI, a file, or an address on the web. */
export function wordOrigin(word: string): Origin {
  if (isNbdUri(word)) return uriOrigin(word, word);
  const name = isWebUrl(word) ? word.replace(/\?.*/, '') : word;
  return { name, kind: 'local', open: options => open(word, options), close: nothing };
}

/** The default export of a server. */
export function serverOrigin(address: UriAddress): Origin {
  const uri = formatNbdUri({ address, tls: false, exportName: '', tlsOptions: {} });
  return uriOrigin(uri, uri);
}

/** One connection is quickest on this machine. */
function uriOrigin(name: string, uri: string): Origin {
  const most = 'path' in parseNbdUri(uri).address ? 1 : MOST_CONNECTIONS;
  return {
    name,
    kind: 'server',
    open: options => open(uri, { ...options, connections: options.connections ?? most }),
    list: () => namesIn(negotiate(uri)),
    close: nothing,
  };
}

/** A server that is started with a socket to listen on. It may take one connection only. */
export async function commandOrigin(argv: readonly string[]): Promise<Origin> {
  const { activate } = await import('../client/command.ts');
  const server = await activate(argv);
  const clients: NbdClient[] = [];
  return {
    name: argv[0]!,
    kind: 'command',
    open: async options => {
      const { exportName = '', signal, sharedMemory } = options;
      const negotiation = await server.negotiate({ signal, sharedMemory });
      const client = await goOrClose(negotiation, exportName, { signal });
      clients.push(client);
      return open(client, options);
    },
    list: () => namesIn(server.negotiate()),
    close: async () => {
      await Promise.all(clients.map(client => client.close()));
      await server.close();
    },
  };
}

async function namesIn(negotiating: Promise<Negotiation>): Promise<string[]> {
  const negotiation = await negotiating;
  try {
    return (await negotiation.list()).map(entry => entry.name);
  } finally {
    await negotiation.close();
  }
}

/** A server that is started and speaks on its standard input and output. */
export async function pipeOrigin(
  argv: readonly string[],
  options: NegotiationOptions,
): Promise<Origin> {
  const { connectCommand } = await import('../client/command.ts');
  return connected(argv[0]!, 'command', await connectCommand(argv, options));
}

/** A connection that was made by who started this program. @throws UsageError it is none. */
export async function descriptorOrigin(fd: number, options: NegotiationOptions): Promise<Origin> {
  const { SocketTransport } = await import('../transport/socket.ts');
  const name = `--fd ${fd}`;
  const transport = adopted(() => SocketTransport.adopted(fd), name);
  const negotiation = await Negotiation.begin(transport, options);
  return connected(name, 'server', await negotiation.go('', options));
}

function adopted<T>(adopt: () => T, name: string): T {
  try {
    return adopt();
  } catch {
    throw new UsageError(`${name}: is no socket`);
  }
}

function connected(name: string, kind: Origin['kind'], client: NbdClient): Origin {
  const close = () => client.close();
  return { name, kind, open: options => open(client, options), close };
}

/** The filters before a plugin, `--filter=NAME` or `--filter NAME` each. */
function filtersIn([word, ...rest]: readonly string[]): { filters: string[]; rest: string[] } {
  if (word === undefined) return { filters: [], rest };
  const [, name] = /^--filter=(.*)$/s.exec(word) ?? [];
  if (name === undefined && word !== '--filter') return { filters: [], rest: [word, ...rest] };
  const next = name === undefined ? rest.slice(1) : rest;
  const found = filtersIn(next);
  return { filters: [name ?? rest[0] ?? '', ...found.filters], rest: found.rest };
}

/**
 * A plugin in this process, under the filters that are named before it.
 * @throws UsageError
 */
export async function pluginOrigin(words: readonly string[]): Promise<Origin> {
  const { filters, rest } = filtersIn(words);
  const [name, ...parameters] = rest;
  if (name === undefined) throw new UsageError('--plugin: its name is missing, see --help');
  const { load } = await import('./load.ts');
  const plugin = await load('plugin', name);
  const over = await Promise.all(filters.map(filter => load('filter', filter)));
  const source = await stackSource(over, plugin.declaration, parameters);
  return {
    name,
    kind: 'local',
    open: options => open(source, options),
    list: async () => {
      const request = { readOnly: false, tls: false, peer: { family: 'pipe' } as const };
      return ((await source.list?.(request)) ?? [{ name: '' }]).map(entry => entry.name);
    },
    close: async () => source.close?.(),
  };
}
