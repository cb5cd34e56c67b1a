import type net from 'node:net';
import tls from 'node:tls';
import type { Peer } from '../block/device.ts';
import { BlockError, messageOf } from '../block/errors.ts';
import type { Credentials } from './credentials.ts';
import { makeRoom } from './socket.ts';
import { StreamTransport } from './stream.ts';
import { tlsWords } from './tls-words.ts';
import type { Transport } from './transport.ts';

/** How one side encrypts a connection. */
export type Encryption =
  | {
      readonly side: 'server';
      readonly credentials: Credentials;
      /** Clients must show a certificate of the authority's. */
      readonly verifyPeer?: boolean | undefined;
    }
  | {
      readonly side: 'client';
      readonly credentials: Credentials;
      /** The server's certificate is checked unless this is false. */
      readonly verifyPeer?: boolean | undefined;
      /** The name that the certificate must have; undefined: any that the authority has signed. */
      readonly hostname?: string | undefined;
      /** Whose pre-shared key is used. */
      readonly username?: string | undefined;
    };

/** How long the TLS handshake may take, in ms. */
const PATIENCE = 30_000;
/** Ciphers of pre-shared keys, which are off unless named; and those of TLS 1.3 for both. */
const PSK_CIPHERS =
  'TLS_AES_128_GCM_SHA256:ECDHE-PSK-CHACHA20-POLY1305:DHE-PSK-AES256-GCM-SHA384:PSK';
const HINT = 'nbd';

/**
 * The one place where a connection becomes encrypted: the transport is not used any more, and what
 * comes from now on is TLS. What was received before must have been taken.
 * @throws BlockError EACCES the other side, or what it has shown, is not accepted; ECONNRESET;
 * ENOTSUP a transport that is no socket.
 */
export async function encrypt(transport: Transport, encryption: Encryption): Promise<Transport> {
  const socket = transport.detach?.();
  if (!socket) throw new BlockError('ENOTSUP', 'TLS: only sockets can be encrypted');
  makeRoom(socket);
  const secured =
    encryption.side === 'server' ? serve(socket, encryption) : call(socket, encryption);
  return new Promise((resolve, reject) => {
    const fail = (cause: Error) => {
      clearTimeout(timer);
      secured.destroy();
      socket.destroy();
      reject(refusal(cause, encryption));
    };
    const timer = setTimeout(() => fail(new Error(`no end after ${PATIENCE} ms`)), PATIENCE);
    const closed = () => fail(new Error('the other side hung up'));
    secured.once('error', fail);
    secured.once('close', closed);
    secured.once(encryption.side === 'server' ? 'secure' : 'secureConnect', () => {
      const why = encryption.side === 'server' && encryption.verifyPeer && unverified(secured);
      if (why) {
        fail(why);
        return;
      }
      clearTimeout(timer);
      secured.off('error', fail);
      secured.off('close', closed);
      const peer = { ...peerFacts(transport.peer), ...namesIn(secured) };
      secured.on('error', error => {
        error.message = tlsWords(error) ?? error.message;
      });
      resolve(new StreamTransport(secured, secured, peer));
    });
  });
}

function serve(
  socket: net.Socket,
  { credentials, verifyPeer = false }: Encryption & { side: 'server' },
): tls.TLSSocket {
  const { psk } = credentials;
  return new tls.TLSSocket(socket, {
    isServer: true,
    secureContext: contextOf(credentials),
    requestCert: verifyPeer,
    rejectUnauthorized: verifyPeer,
    ...(psk && {
      pskCallback: (_socket: tls.TLSSocket, identity: string) => psk.get(identity) ?? null,
      pskIdentityHint: HINT,
    }),
  } as tls.TLSSocketOptions);
}

function call(
  socket: net.Socket,
  { credentials, verifyPeer = true, hostname, username }: Encryption & { side: 'client' },
): tls.TLSSocket {
  const { psk } = credentials;
  const named = hostname !== undefined && !/^[\d.]+$|:/.test(hostname) && { servername: hostname };
  const key = psk && pskFor(psk, username);
  return tls.connect({
    socket,
    secureContext: contextOf(credentials),
    rejectUnauthorized: verifyPeer,
    ...named,
    checkServerIdentity: (_host, certificate) =>
      hostname === undefined ? undefined : tls.checkServerIdentity(hostname, certificate),
    ...(key && { pskCallback: () => key, checkServerIdentity: () => undefined }),
  });
}

function pskFor(psk: ReadonlyMap<string, Buffer>, username: string | undefined) {
  const identity = username ?? process.env.LOGNAME ?? process.env.USER ?? [...psk.keys()][0]!;
  const key = psk.get(identity);
  if (key) return { psk: key, identity };
  throw new BlockError('EACCES', `TLS: the file of pre-shared keys has none of '${identity}'`);
}

const contexts = new WeakMap<Credentials, tls.SecureContext>();

/** @throws BlockError EACCES certificates or keys that cannot be used. */
function contextOf(credentials: Credentials): tls.SecureContext {
  const known = contexts.get(credentials);
  if (known) return known;
  const { psk, ...certificates } = credentials;
  try {
    const given = Object.entries(certificates).filter(([, value]) => value !== undefined);
    const ciphers = psk && { ciphers: PSK_CIPHERS };
    const context = tls.createSecureContext({ ...Object.fromEntries(given), ...ciphers });
    contexts.set(credentials, context);
    return context;
  } catch (cause) {
    const words = `TLS: the certificates cannot be used: ${messageOf(cause)}`;
    throw new BlockError('EACCES', words, { cause });
  }
}

/** Why what the client has shown is not enough; Node leaves that to whoever made the socket. */
function unverified(socket: tls.TLSSocket): Error | undefined {
  const { ssl } = socket as unknown as { ssl: { verifyError(): Error | null } };
  return ssl.verifyError() ?? undefined;
}

/** The properties of a peer that are asked for late. */
function peerFacts({ family, address, port, pid, uid, gid }: Peer): Peer {
  return { family, address, port, pid, uid, gid };
}

function namesIn(socket: tls.TLSSocket): Pick<Peer, 'tls'> {
  const { subject, issuer } = socket.getPeerCertificate();
  if (subject === undefined) return {};
  return { tls: { subject: distinguished(subject), issuer: distinguished(issuer) } };
}

/** As RFC 4514 writes it: the last part first. */
function distinguished(name: tls.Certificate): string {
  const parts = Object.entries(name).map(([key, value]) => `${key}=${escapeDn(String(value))}`);
  return parts.reverse().join(',');
}

const escapeDn = (value: string) => value.replace(/[,+"\\<>;]/g, '\\$&');

/** What went wrong in the handshake, in words. */
function refusal(cause: Error, { side }: Encryption): BlockError {
  const { code = '' } = cause as NodeJS.ErrnoException;
  const lost = code === 'ECONNRESET' || code === 'EPIPE';
  const other = side === 'server' ? 'client' : 'server';
  const message = `the TLS handshake with the ${other} failed: ${tlsWords(cause) ?? cause.message}`;
  return new BlockError(lost ? 'ECONNRESET' : 'EACCES', message, { cause });
}
