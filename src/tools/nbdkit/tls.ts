import { UsageError } from '../../block/errors.ts';
import type { ServerTls } from '../../server/options.ts';
import { type Credentials, loadCertificates, loadPsk } from '../../transport/credentials.ts';

/** What the options --tls, --tls-certificates, --tls-psk and --tls-verify-peer say. */
export interface TlsSettings {
  /** Undefined: on if there are certificates or keys. */
  readonly mode: TlsMode | undefined;
  readonly certificates: string | undefined;
  readonly psk: string | undefined;
  readonly verifyPeer: boolean;
}

export type TlsMode = 'off' | 'on' | 'require';

/** @throws UsageError */
export function readTlsMode(text: string | undefined): TlsMode | undefined {
  if (text === undefined || text === 'require') return text;
  if (/^(?:on|1|true|t|yes|y)$/i.test(text)) return 'on';
  if (/^(?:off|0|false|f|no|n)$/i.test(text)) return 'off';
  throw new UsageError(`--tls: unknown value '${text}': expected off, on or require`);
}

/**
 * What the server is told; undefined: no TLS.
 * @param warn is told when TLS was asked for and there is nothing to have it with.
 * @throws UsageError TLS is required and there is nothing to have it with.
 */
export function serverTls(
  { mode, certificates, psk, verifyPeer }: TlsSettings,
  warn: (message: string) => void,
): ServerTls | undefined {
  if (mode === 'off') return undefined;
  const required = mode === 'require';
  let credentials: Credentials | undefined;
  let why = 'there are no certificates in the usual places: expected --tls-certificates=FOLDER';
  try {
    credentials = psk === undefined ? loadCertificates('server', certificates) : loadPsk(psk);
  } catch (error) {
    if (required || psk !== undefined || !(error instanceof UsageError)) throw error;
    why = error.message;
  }
  if (credentials) return { credentials, required, verifyPeer };
  if (required) throw new UsageError(`--tls=require: ${why}`);
  const asked = mode === 'on' || certificates !== undefined || verifyPeer;
  if (asked) warn(`--tls=on: clients cannot use TLS: ${why}`);
  return undefined;
}
