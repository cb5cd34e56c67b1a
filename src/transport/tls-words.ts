interface TlsError extends NodeJS.ErrnoException {
  /** Of OpenSSL. */
  readonly reason?: string;
  /** The name that was expected. */
  readonly host?: string;
  readonly cert?: { readonly subjectaltname?: string };
}

/**
 * What is wrong with the other side of TLS, in words for users: messages of OpenSSL are for its
 * developers. undefined: it is not about TLS.
 */
export function tlsWords(error: Error): string | undefined {
  const { code = '', reason, host, cert } = error as TlsError;
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    return `its certificate is not for '${host}', but for ${cert?.subjectaltname ?? 'no host'}`;
  }
  return WORDS[code] ?? (code.startsWith('ERR_SSL_') ? reason : undefined);
}

const WORDS: Readonly<Record<string, string>> = {
  ECONNRESET: 'it hung up',
  EPIPE: 'it hung up',
  ERR_SSL_WRONG_VERSION_NUMBER: 'it does not speak TLS',
  ERR_SSL_HTTP_REQUEST: 'it does not speak TLS',
  ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE: 'it has shown no certificate',
  UNABLE_TO_GET_ISSUER_CERT: 'it has shown no certificate, or one of an unknown authority',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'its certificate was signed by an authority that is not trusted',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    'its certificate was signed by an authority that is not trusted',
  SELF_SIGNED_CERT_IN_CHAIN: 'its certificate was signed by an authority that is not trusted',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'its certificate is signed by itself and not trusted',
  CERT_HAS_EXPIRED: 'its certificate has expired',
  ERR_SSL_BINDER_DOES_NOT_VERIFY: 'its pre-shared key is another one',
  ERR_SSL_SSLV3_ALERT_ILLEGAL_PARAMETER: 'it does not accept the pre-shared key',
  ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED: 'it wants a certificate of this side',
  CERT_REVOKED: 'its certificate was revoked',
};
