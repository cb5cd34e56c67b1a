/** A server of objects that checks signatures as the documents of Amazon's Signature Version 4 say. */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { sendPart, startWeb, type WebServer } from './web-server.ts';

export const ACCESS_KEY = 'AKIDEXAMPLE';
export const SECRET_KEY = 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY';
export const TOKEN = 'a session';

export interface FakeS3 extends WebServer {
  /** By their paths, with the bucket. */
  readonly objects: Map<string, Buffer>;
  /** So many answers are 503 SlowDown. */
  slowDown: number;
  /** Lists are not allowed. */
  secretive: boolean;
  /** Names in one list. */
  page: number;
}

export async function startS3(): Promise<FakeS3> {
  const objects = new Map<string, Buffer>();
  const web = await startWeb((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', chunk => chunks.push(chunk));
    request.on('end', () => answer(s3, request, response, Buffer.concat(chunks)));
  });
  const s3: FakeS3 = { ...web, objects, slowDown: 0, secretive: false, page: 1000 };
  return s3;
}

function answer(
  s3: FakeS3,
  request: IncomingMessage,
  response: ServerResponse,
  body: Buffer,
): void {
  const url = new URL(request.url!, 'http://x');
  const refuse = (status: number, code: string) =>
    response.writeHead(status).end(`<?xml version="1.0"?><Error><Code>${code}</Code></Error>`);
  const path = decodeURIComponent(url.pathname);
  if (s3.slowDown > 0) {
    s3.slowDown -= 1;
    refuse(503, 'SlowDown');
  } else if (!isSigned(request, url, body)) refuse(403, 'SignatureDoesNotMatch');
  else if (url.searchParams.has('list-type')) {
    if (s3.secretive) refuse(403, 'AccessDenied');
    else response.end(listOf(s3, path, url.searchParams));
  } else if (request.method === 'PUT') {
    s3.objects.set(path, body);
    response.end();
  } else if (request.method === 'DELETE') {
    s3.objects.delete(path);
    response.writeHead(204).end();
  } else {
    const bytes = s3.objects.get(path);
    const etag = bytes && `"${createHash('md5').update(bytes).digest('hex')}"`;
    if (bytes) sendPart(request, response, bytes, { etag: etag! });
    else refuse(404, 'NoSuchKey');
  }
}

function listOf({ objects, page }: FakeS3, bucket: string, query: URLSearchParams): string {
  const [prefix, after] = [query.get('prefix')!, query.get('start-after') ?? ''];
  const keys = [...objects.keys()]
    .filter(path => path.startsWith(bucket))
    .map(path => path.slice(bucket.length))
    .filter(key => key.startsWith(prefix) && key > after)
    .sort();
  const names = keys.slice(0, page).map(key => `<Contents><Key>${key}</Key></Contents>`);
  const more = `<IsTruncated>${keys.length > page}</IsTruncated>`;
  return `<ListBucketResult>${more}${names.join('')}</ListBucketResult>`;
}

const sha256 = (data: string | Buffer) => createHash('sha256').update(data).digest('hex');
const hmac = (key: string | Buffer, data: string) =>
  createHmac('sha256', key).update(data).digest();

function isSigned({ headers, method }: IncomingMessage, url: URL, body: Buffer): boolean {
  const [, credential, names, signature] =
    /^AWS4-HMAC-SHA256 Credential=([^,]+),SignedHeaders=([^,]+),Signature=([\da-f]{64})$/.exec(
      headers.authorization ?? '',
    ) ?? [];
  if (credential === undefined) return false;
  const [accessKey, date, region, service, end] = credential.split('/') as [string, ...string[]];
  const payload = headers['x-amz-content-sha256'] as string;
  const signedNames = names!.split(';');
  const needed = ['host', 'x-amz-content-sha256', 'x-amz-date', 'x-amz-security-token'];
  const expected = needed.filter(name => name in headers);
  if (accessKey !== ACCESS_KEY || headers['x-amz-security-token'] !== TOKEN) return false;
  if (payload !== sha256(body) || !expected.every(name => signedNames.includes(name))) return false;
  const canonical =
    `${method}\n${url.pathname}\n${url.search.slice(1).split('&').sort().join('&')}\n` +
    `${signedNames.map(name => `${name}:${headers[name]}\n`).join('')}\n${names}\n${payload}`;
  const text = `AWS4-HMAC-SHA256\n${headers['x-amz-date']}\n${date}/${region}/${service}/${end}\n${sha256(canonical)}`;
  const key = hmac(hmac(hmac(hmac(`AWS4${SECRET_KEY}`, date!), region!), service!), end!);
  return timingSafeEqual(hmac(key, text), Buffer.from(signature!, 'hex'));
}
