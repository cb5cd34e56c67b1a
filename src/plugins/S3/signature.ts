import { createHash, createHmac } from 'node:crypto';
import type { Attendant } from '../../http/agent.ts';
import type { Headers } from '../../http/connection.ts';
import type { HttpRequest } from '../../http/exchange.ts';

/** Who asks. */
export interface Credentials {
  readonly accessKey: string;
  readonly secretKey: string;
  readonly sessionToken?: string | undefined;
}

const ALGORITHM = 'AWS4-HMAC-SHA256';
const SERVICE = 's3';
/** Over TLS nobody changes the bytes on their way. */
const UNSIGNED = 'UNSIGNED-PAYLOAD';

const sha256 = (data: string | Uint8Array) => createHash('sha256').update(data).digest('hex');
const hmac = (key: string | Buffer, data: string) =>
  createHmac('sha256', key).update(data).digest();

/** Signs requests with what `credentials` gives at the time (Signature Version 4). */
export class Signer implements Attendant {
  readonly #credentials: () => Promise<Credentials>;
  readonly #region: string;

  constructor(credentials: () => Promise<Credentials>, region: string) {
    this.#credentials = credentials;
    this.#region = region;
  }

  async headers(request: HttpRequest): Promise<Headers> {
    return signed(request, await this.#credentials(), this.#region, new Date());
  }
}

/** All headers of a request, with its signature. */
export function signed(
  { method, url, headers, body }: HttpRequest,
  { accessKey, secretKey, sessionToken }: Credentials,
  region: string,
  now: Date,
): Headers {
  const time = now.toISOString().replace(/[-:]|\.\d+/g, '');
  const day = time.slice(0, 8);
  const isOpen = url.protocol === 'http:' || body === undefined;
  const payload = isOpen ? sha256(body ?? '') : UNSIGNED;
  const all: Record<string, string> = {
    ...headers,
    host: url.host,
    'x-amz-content-sha256': payload,
    'x-amz-date': time,
    ...(sessionToken !== undefined && { 'x-amz-security-token': sessionToken }),
  };
  // A proxy may change others.
  const names = Object.keys(all)
    .filter(name => name === 'host' || name === 'range' || name.startsWith('x-amz-'))
    .sort();
  const list = names.join(';');
  const request = [
    method,
    url.pathname,
    url.search.slice(1).split('&').sort().join('&'),
    ...names.map(name => `${name}:${all[name]!.trim()}`),
    '',
    list,
    payload,
  ].join('\n');
  const scope = `${day}/${region}/${SERVICE}/aws4_request`;
  let key = hmac(`AWS4${secretKey}`, day);
  for (const part of [region, SERVICE, 'aws4_request']) key = hmac(key, part);
  const text = [ALGORITHM, time, scope, sha256(request)].join('\n');
  const signature = hmac(key, text).toString('hex');
  const credential = `Credential=${accessKey}/${scope}`;
  const authorization = `${ALGORITHM} ${credential},SignedHeaders=${list},Signature=${signature}`;
  return { ...all, authorization };
}
