import { existsSync, readFileSync } from 'node:fs';
import tls from 'node:tls';
import { messageOf, UsageError } from '../block/errors.ts';

export interface TlsOptions {
  /** Certificates of authorities, as PEM, in place of the system's. */
  readonly ca?: readonly string[] | undefined;
  readonly verify: boolean;
  readonly minVersion?: tls.SecureVersion | undefined;
  readonly maxVersion?: tls.SecureVersion | undefined;
  /** As OpenSSL writes them. */
  readonly ciphers?: string | undefined;
}

/** What sockets are made with. */
export interface Secure {
  readonly secureContext: tls.SecureContext;
  readonly rejectUnauthorized: boolean;
}

/** @param options undefined: all as usual. @throws UsageError certificates or ciphers that cannot be used. */
export function secureOptions(options: TlsOptions | undefined): Secure {
  const { ca, verify = true, ...rest } = options ?? {};
  const given = Object.entries(rest).filter(([, value]) => value !== undefined);
  const authorities = ca ?? systemAuthorities();
  try {
    const secureContext = tls.createSecureContext({
      ...Object.fromEntries(given),
      ...(authorities && { ca: [...authorities] }),
    });
    return { secureContext, rejectUnauthorized: verify };
  } catch (error) {
    throw new UsageError(`TLS: ${messageOf(error)}`);
  }
}

/** Where systems keep the certificates of the authorities that they trust. */
const BUNDLES = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/cert.pem',
];

/** Those of the system, as other programs have them; undefined: those that Node brings. */
function systemAuthorities(): readonly string[] | undefined {
  const named = process.env.CURL_CA_BUNDLE ?? process.env.SSL_CERT_FILE;
  const path = named || BUNDLES.find(existsSync);
  return path === undefined ? undefined : [readFileSync(path, 'utf8')];
}
