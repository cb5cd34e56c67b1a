import { naming, UsageError } from '../../block/errors.ts';
import type { ParameterValues } from '../../declare/parameters.ts';
import { portNumber } from '../../posix/services.ts';
import { DEFAULT_PORT } from '../../protocol/constants.ts';
import { type NbdUri, parseNbdUri, type UriAddress } from '../../protocol/uri.ts';
import type { PARAMETERS } from './parameters.ts';

/** The other server, as the parameters name it; plain data, for other threads too. */
export interface Target {
  /** Which export, how it is encrypted, and, unless one of the next two is there, where it is. */
  readonly uri: NbdUri;
  /** A server without TLS is talked to in plain text. */
  readonly tlsOptional: boolean;
  /** A program to run, and its arguments. */
  readonly command?: readonly string[];
  /** An inherited socket. */
  readonly fd?: number;
}

export type Parameters = ParameterValues<typeof PARAMETERS>;

const WAYS = ['uri', 'hostname', 'vsock', 'socket', 'socket-fd', 'command'] as const;

/** @throws UsageError none or several servers are named. */
export function targetOf(parameters: Parameters): Target {
  const { command, arg, 'socket-fd': fd, export: exportName } = parameters;
  const ways = WAYS.filter(way => parameters[way] !== undefined);
  if (ways.length !== 1) {
    const found = ways.length === 0 ? 'none was given' : `not ${ways.join(' and ')} together`;
    throw new UsageError(`expected one of ${WAYS.join(', ')}: ${found}`);
  }
  if (arg.length > 0 && command === undefined) throw new UsageError('arg: needs command');
  const found = uriOf(parameters);
  if (exportName !== undefined && found.exportName !== '') {
    throw new UsageError('export: the URI names an export already');
  }
  const { uri, optional } = withTls(
    { ...found, exportName: exportName ?? found.exportName },
    parameters,
  );
  return {
    uri,
    tlsOptional: optional,
    ...(command !== undefined && { command: [command, ...arg] }),
    ...(fd !== undefined && { fd }),
  };
}

function uriOf({ uri, hostname, vsock, socket, port }: Parameters): NbdUri {
  if (port !== undefined && hostname === undefined && vsock === undefined) {
    throw new UsageError('port: goes with hostname or vsock only');
  }
  if (uri !== undefined) return parseNbdUri(uri);
  const at = (address: UriAddress) => ({ address, tls: false, exportName: '', tlsOptions: {} });
  const number = naming('port', () => portNumber(port ?? String(DEFAULT_PORT)));
  if (hostname !== undefined) return at({ host: hostname, port: number });
  return at(vsock === undefined ? { path: socket ?? '' } : { cid: vsock, port: number });
}

/** Where TLS is asked for by a certificate or a key alone, it is used if the server has it. */
function withTls(uri: NbdUri, parameters: Parameters): { uri: NbdUri; optional: boolean } {
  const {
    tls,
    'tls-certificates': certificates = uri.tlsOptions.certificates,
    'tls-verify': verifyPeer = uri.tlsOptions.verifyPeer,
    'tls-username': username = uri.tlsOptions.username,
    'tls-psk': pskFile = uri.tlsOptions.pskFile,
  } = parameters;
  const keys = ['tls-certificates', 'tls-verify', 'tls-username', 'tls-psk'] as const;
  const implied = keys.some(key => parameters[key] !== undefined) ? 'on' : 'off';
  const mode = uri.tls ? 'require' : modeOf(tls ?? implied);
  const tlsOptions = { ...uri.tlsOptions, certificates, verifyPeer, username, pskFile };
  return { uri: { ...uri, tls: mode !== 'off', tlsOptions }, optional: mode === 'on' };
}

function modeOf(text: string): 'off' | 'on' | 'require' {
  if (/^(?:require|required|force)$/i.test(text)) return 'require';
  if (/^(?:on|1|true|t|yes|y)$/i.test(text)) return 'on';
  if (/^(?:off|0|false|f|no|n)$/i.test(text)) return 'off';
  throw new UsageError(`tls: unknown value '${text}': expected off, on or require`);
}
