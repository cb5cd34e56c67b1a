import { BlockError, errnoOf, messageOf, reasonOf, UsageError } from '../block/errors.ts';
import type { VsockAddress } from '../posix/vsock.ts';
import {
  beyondLimits,
  formatNbdUri,
  type NbdUri,
  parseNbdUri,
  type SshAddress,
  type UriLimits,
} from '../protocol/uri.ts';
import { loadCertificates, loadPsk } from '../transport/credentials.ts';
import type { Address } from '../transport/socket.ts';
import { SocketTransport } from '../transport/socket.ts';
import type { NbdClient } from './client.ts';
import {
  type ClientTls,
  type GoOptions,
  Negotiation,
  type NegotiationOptions,
} from './negotiation.ts';
import { abortable } from './signals.ts';
import { sshCommand } from './ssh.ts';

export type ConnectOptions = NegotiationOptions;

/**
 * Connects to the export that an NBD URI names.
 * @throws UsageError a URI that cannot be used; BlockError the connection fails; the reason of the
 *   signal that gave up the attempt. Once it is connected the signal has no effect.
 */
export async function connect(
  uri: string | NbdUri,
  options: ConnectOptions = {},
): Promise<NbdClient> {
  return goOrClose(await negotiate(uri, options), undefined, { signal: options.signal });
}

/**
 * Connects and stops before an export is chosen ("option mode"). A server that runs exports of its
 * own is asked with `Negotiation.list` and `Negotiation.info`.
 * @throws as `connect`.
 */
export async function negotiate(
  target: string | NbdUri | Address,
  options: NegotiationOptions = {},
): Promise<Negotiation> {
  if (typeof target !== 'string' && (typeof target !== 'object' || target === null)) {
    throw new UsageError(`expected an NBD URI, not ${String(target)}`);
  }
  const uri = typeof target === 'string' ? parseNbdUri(target) : target;
  const address = addressOf(uri, options.allow);
  const { tls = tlsOf(uri), exportName = 'address' in uri ? uri.exportName : '' } = options;
  const wanted = { ...options, tls, exportName };
  if ('ssh' in address) return negotiateBySsh(address, wanted);
  let transport: SocketTransport;
  try {
    transport = await dial(address, options.signal);
  } catch (error) {
    options.signal?.throwIfAborted();
    const words = `cannot connect to ${describe(address)}: ${reasonOf(error)}`;
    throw new BlockError('ECONNRESET', words, { cause: error });
  }
  return Negotiation.begin(transport, wanted);
}

/** What ssh itself complains of stands on standard error before. */
async function negotiateBySsh(
  address: SshAddress,
  options: NegotiationOptions,
): Promise<Negotiation> {
  const { negotiateCommand } = await import('./command.ts');
  try {
    return await negotiateCommand(sshCommand(address), options);
  } catch (error) {
    options.signal?.throwIfAborted();
    if (errnoOf(error) !== 'ECONNRESET') throw error;
    const words = `cannot connect by ssh to ${address.ssh}: ${messageOf(error)}`;
    throw new BlockError('ECONNRESET', words, { cause: error });
  }
}

/** A connection to which the signal means nothing once it is made. @throws as the system does. */
export function dial(
  address: Address | VsockAddress,
  signal?: AbortSignal,
): Promise<SocketTransport> {
  const attempt = new AbortController();
  const stop = () => attempt.abort();
  return abortable(signal, stop, () =>
    'cid' in address
      ? dialVsock(address, attempt.signal)
      : SocketTransport.connect(address, attempt.signal),
  );
}

/** The system gives up by itself, and nobody else can. */
async function dialVsock(address: VsockAddress, signal: AbortSignal): Promise<SocketTransport> {
  const { connectVsock, vsockPeer } = await import('../posix/vsock.ts');
  const socket = await connectVsock(address);
  const transport = SocketTransport.accepted(socket, vsockPeer);
  if (signal.aborted) transport.destroy();
  return transport;
}

/** Chooses the export, or leaves when that fails. */
export async function goOrClose(
  negotiation: Negotiation,
  exportName: string | undefined,
  options?: GoOptions,
): Promise<NbdClient> {
  try {
    return await negotiation.go(exportName, options);
  } catch (error) {
    await negotiation.close();
    throw error;
  }
}

/** @throws UsageError a bad URI; BlockError EPERM one that is not allowed. */
function addressOf(
  uri: NbdUri | Address,
  limits: UriLimits | undefined,
): Address | VsockAddress | SshAddress {
  if (!('address' in uri)) return uri;
  const { address } = uri;
  const why = limits && beyondLimits(uri, limits);
  if (why !== undefined) throw new BlockError('EPERM', `${formatNbdUri(uri)}: ${why}`);
  return address;
}

/**
 * How a connection to that server is encrypted, if it is.
 * @throws UsageError certificates or keys that cannot be read.
 */
export function tlsOf(target: string | NbdUri | Address): ClientTls | undefined {
  const uri = typeof target === 'string' ? parseNbdUri(target) : target;
  if (!('address' in uri) || !uri.tls) return undefined;
  const { type, hostname, verifyPeer, certificates, pskFile, username } = uri.tlsOptions;
  if (type === 'anon') throw new UsageError('tls-type: anonymous TLS is not supported');
  if (type === 'psk' && pskFile === undefined) {
    throw new UsageError('tls-type=psk needs the parameter tls-psk-file');
  }
  const psk = pskFile !== undefined && type !== 'x509' ? loadPsk(pskFile) : undefined;
  const credentials = psk ?? loadCertificates('client', certificates) ?? {};
  const { address } = uri;
  const host = 'ssh' in address ? address.ssh : 'host' in address ? address.host : undefined;
  const name = hostname ?? host;
  return {
    credentials,
    // On this machine, and with nothing to check by, libnbd does not check either.
    verifyPeer: verifyPeer ?? (name !== undefined || credentials.ca !== undefined),
    hostname: name,
    username,
  };
}

function describe(address: Address | VsockAddress): string {
  if ('path' in address) return address.path;
  return 'cid' in address
    ? `vsock ${address.cid}:${address.port}`
    : `${address.host}:${address.port}`;
}
