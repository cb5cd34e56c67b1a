import { createHash, randomBytes } from 'node:crypto';

/** What a server wants to have answered (RFC 7616). */
export interface Challenge {
  readonly realm: string;
  readonly nonce: string;
  readonly opaque: string | undefined;
  readonly algorithm: keyof typeof HASHES;
  /** Whether the server takes `auth`; else it is as old as RFC 2069. */
  readonly qop: boolean;
}

const HASHES = { 'sha-256': 'sha256', 'sha-256-sess': 'sha256', md5: 'md5', 'md5-sess': 'md5' };
/** The better ones first. */
const ALGORITHMS = Object.keys(HASHES) as (keyof typeof HASHES)[];

const PAIR = String.raw`[\w-]+=(?:"[^"]*"|[^\s,"]*)`;
const DIGEST = new RegExp(String.raw`(?:^|,)\s?digest\s+(${PAIR}(?:\s?,\s?${PAIR})*)`, 'gi');

/** The best of the challenges in WWW-Authenticate that can be answered. */
export function challengeIn(header: string): Challenge | undefined {
  const found = [...header.matchAll(DIGEST)].flatMap(([, pairs]) => parse(pairs!) ?? []);
  const rank = ({ algorithm }: Challenge) => ALGORITHMS.indexOf(algorithm);
  return found.sort((a, b) => rank(a) - rank(b))[0];
}

function parse(pairs: string): Challenge | undefined {
  const values = new Map<string, string>();
  for (const [, key, quoted, plain] of pairs.matchAll(/([\w-]+)=(?:"([^"]*)"|([^\s,"]*))/g)) {
    values.set(key!.toLowerCase(), quoted ?? plain!);
  }
  const algorithm = (values.get('algorithm') ?? 'md5').toLowerCase();
  const nonce = values.get('nonce');
  const qop = values.get('qop')?.split(/\s*,\s*/);
  if (nonce === undefined || !(algorithm in HASHES)) return undefined;
  if (qop && !qop.includes('auth')) return undefined;
  return {
    realm: values.get('realm') ?? '',
    nonce,
    opaque: values.get('opaque'),
    algorithm: algorithm as Challenge['algorithm'],
    qop: qop !== undefined,
  };
}

/** Answers a challenge, the `count`th time: the header Authorization. */
export function answerTo(
  { realm, nonce, opaque, algorithm, qop }: Challenge,
  { user, password }: { user: string; password: string },
  method: string,
  uri: string,
  count: number,
  cnonce = randomBytes(16).toString('hex'),
): string {
  const hash = (text: string) => createHash(HASHES[algorithm]).update(text).digest('hex');
  const plain = hash(`${user}:${realm}:${password}`);
  const secret = algorithm.endsWith('-sess') ? hash(`${plain}:${nonce}:${cnonce}`) : plain;
  const request = hash(`${method}:${uri}`);
  const nc = count.toString(16).padStart(8, '0');
  const middle = qop ? `${nonce}:${nc}:${cnonce}:auth` : nonce;
  const quoted = {
    username: user,
    realm,
    nonce,
    uri,
    response: hash(`${secret}:${middle}:${request}`),
  };
  const fields = Object.entries(opaque === undefined ? quoted : { ...quoted, opaque })
    .map(([key, value]) => `${key}="${value.replace(/["\\]/g, '\\$&')}"`)
    .join(', ');
  const more = qop ? `, qop=auth, nc=${nc}, cnonce="${cnonce}"` : '';
  return `Digest ${fields}, algorithm=${algorithm.toUpperCase()}${more}`;
}
