/** The NBD server that a command line names: an NBD URI, or a command in brackets. */
import { BlockError, UsageError } from '../block/errors.ts';
import type { NbdClient } from '../client/client.ts';
import { negotiate } from '../client/connect.ts';
import type { Negotiation, NegotiationOptions } from '../client/negotiation.ts';
import { formatNbdUri, isWebUrl, parseNbdUri } from '../protocol/uri.ts';
import { type Endpoint, joinBrackets } from './cli.ts';
import { atEnd } from './ending.ts';

/** A server to connect to, once or several times. */
export interface Target {
  /** As the URI or the command names it. */
  readonly exportName: string;
  /** On this machine, by a Unix socket. */
  readonly local: boolean;
  /** The URI of an export of this server; undefined for a server that was started for us. */
  uriOf(exportName: string): string | undefined;
  negotiate(options?: NegotiationOptions): Promise<Negotiation>;
  /** Ends a server that was started for us. */
  close(): Promise<void>;
}

/** The one server that a command line names. @throws UsageError there is none, or more. */
export function oneEndpoint(words: readonly string[]): Endpoint {
  const endpoints = joinBrackets(words);
  if (endpoints.length === 1) return endpoints[0]!;
  const found = endpoints.length === 0 ? 'none is given' : `${endpoints.length} are given`;
  throw new UsageError(`expected one NBD-URI or [ CMD ARGS ... ]: ${found}, see --help`);
}

/** @throws UsageError a bad URI; BlockError the command cannot be run. */
export async function openTarget(endpoint: Endpoint): Promise<Target> {
  if ('command' in endpoint) {
    const { activate } = await import('../client/command.ts');
    const starting = activate(endpoint.command);
    const close = async () => (await starting).close();
    atEnd(close);
    const server = await starting;
    return {
      exportName: '',
      local: true,
      uriOf: () => undefined,
      negotiate: options => server.negotiate(options),
      close,
    };
  }
  if (isWebUrl(endpoint.word)) return (await import('./web.ts')).webTarget(endpoint.word);
  const uri = parseNbdUri(endpoint.word);
  return {
    exportName: uri.exportName,
    local: 'path' in uri.address,
    uriOf: exportName => formatNbdUri({ ...uri, exportName }),
    negotiate: options => negotiate(uri, options),
    close: async () => {},
  };
}

/** Runs `work`, which does not choose an export, and leaves in order. */
export async function negotiating<T>(
  target: Target,
  options: NegotiationOptions,
  work: (negotiation: Negotiation) => Promise<T>,
): Promise<T> {
  const negotiation = await target.negotiate(options);
  try {
    return await work(negotiation);
  } finally {
    await negotiation.close();
  }
}

/** Connects to the export and gives what `work` makes of it. */
export async function withClient<T>(
  target: Target,
  contexts: readonly string[],
  work: (client: NbdClient) => Promise<T>,
): Promise<T> {
  const negotiation = await target.negotiate({ contexts });
  const client = await enter(negotiation, target.exportName);
  try {
    return await work(client);
  } finally {
    await client.close();
  }
}

/** Chooses the export, or leaves in order. */
export async function enter(negotiation: Negotiation, exportName: string): Promise<NbdClient> {
  try {
    return await negotiation.go(exportName);
  } catch (error) {
    await negotiation.close();
    throw withHint(error, 'to see all exports of the server, use nbdinfo --list');
  }
}

/** The error with what could be tried instead. */
function withHint(error: unknown, hint: string): unknown {
  if (error instanceof BlockError && error.errno === 'ENOENT') {
    return new BlockError('ENOENT', `${error.message}: ${hint}`, { cause: error });
  }
  return error;
}
