import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { messageOf, UsageError } from '../block/errors.ts';

/** What one side shows the other, and trusts: X.509 certificates as PEM, or pre-shared keys. */
export interface Credentials {
  readonly ca?: Buffer | undefined;
  readonly crl?: Buffer | undefined;
  readonly cert?: Buffer | undefined;
  readonly key?: Buffer | undefined;
  /** Pre-shared keys by user name; certificates are not used then. */
  readonly psk?: ReadonlyMap<string, Buffer> | undefined;
}

type Side = 'server' | 'client';

/** The folders in which the program of that side looks for certificates, in this order. */
function defaultFolders(side: Side): string[] {
  const name = side === 'server' ? 'nbdkit' : 'libnbd';
  if (process.getuid?.() === 0) return [join('/etc/pki', name)];
  return [join(homedir(), '.pki', name), join(homedir(), '.config/pki', name)];
}

/**
 * Certificates from a folder, `ca-cert.pem` and others, or from the first default folder that has
 * some. A client may have no certificate of its own, and trusts the system's authorities where
 * there is no `ca-cert.pem`.
 * @returns undefined when there are none, which a client can do without.
 * @throws UsageError a folder that was named and has no certificates, a file that cannot be read.
 */
export function loadCertificates(side: Side, folder?: string): Credentials | undefined {
  for (const each of folder === undefined ? defaultFolders(side) : [folder]) {
    const found = certificatesIn(side, each);
    if (found) return found;
  }
  if (folder === undefined) return undefined;
  const wanted = side === 'server' ? 'server-cert.pem and server-key.pem' : 'ca-cert.pem';
  throw new UsageError(`${folder}: no TLS certificates there: expected ${wanted}`);
}

function certificatesIn(side: Side, folder: string): Credentials | undefined {
  const file = (name: string) => readIfThere(join(folder, name));
  const ca = file('ca-cert.pem');
  const cert = file(`${side}-cert.pem`);
  const key = file(`${side}-key.pem`);
  const enough = side === 'server' ? cert && key : (ca ?? cert);
  if (!enough) return undefined;
  if ((cert === undefined) !== (key === undefined)) {
    throw new UsageError(`${folder}: expected ${side}-cert.pem and ${side}-key.pem together`);
  }
  return { ca, crl: file('ca-crl.pem'), cert, key };
}

function readIfThere(path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw new UsageError(`${path}: ${messageOf(error)}`);
  }
}

/**
 * Pre-shared keys from a file with a line `USER:HEX` for each.
 * @throws UsageError
 */
export function loadPsk(path: string): Credentials {
  const text = readIfThere(path)?.toString('latin1');
  if (text === undefined) throw new UsageError(`${path}: no such file of pre-shared keys`);
  const psk = new Map<string, Buffer>();
  for (const [index, line] of text.split('\n').entries()) {
    if (line.trim() === '' || line.startsWith('#')) continue;
    const [, user, hex] = /^([^:]+):((?:[\da-f]{2})+)\s*$/i.exec(line) ?? [];
    if (user === undefined) {
      throw new UsageError(`${path}: line ${index + 1}: expected USER:KEY, the key in hexadecimal`);
    }
    psk.set(user, Buffer.from(hex!, 'hex'));
  }
  if (psk.size === 0) throw new UsageError(`${path}: there are no keys, expected USER:KEY`);
  return { psk };
}
