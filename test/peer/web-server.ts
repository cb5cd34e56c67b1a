import { once } from 'node:events';
import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';

export interface WebServer {
  readonly port: number;
  url(path?: string): string;
  /** What it was asked for. */
  readonly requests: IncomingMessage[];
  close(): void;
}

/** A web server that answers as it is told. */
export async function startWeb(answer: RequestListener): Promise<WebServer> {
  const requests: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    requests.push(request);
    answer(request, response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    port,
    url: (path = '/disk') => `http://127.0.0.1:${port}${path}`,
    requests,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

/** The same until the test ends. */
export async function webServer(t: TestContext, answer: RequestListener): Promise<WebServer> {
  const web = await startWeb(answer);
  t.after(() => web.close());
  return web;
}

/** The range that is asked for, within so many bytes. */
export function rangeOf(
  { headers }: IncomingMessage,
  size: number,
): { first: number; end: number } {
  const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(headers.range ?? '') ?? [];
  return { first: Number(first), end: Math.min(Number(last) + 1, size) };
}

export const ETAG = '"one"';

/** Answers as an honest server does. */
export function sendPart(
  request: IncomingMessage,
  response: ServerResponse,
  bytes: Buffer,
  headers: Readonly<Record<string, string>> = { etag: ETAG },
): void {
  const { first, end } = rangeOf(request, bytes.length);
  const wanted = request.headers['if-range'] as string | undefined;
  const isOther = wanted !== undefined && !Object.values(headers).includes(wanted);
  if (Number.isNaN(first) || isOther) response.writeHead(200, headers).end(bytes);
  else if (first >= bytes.length) {
    response.writeHead(416, { 'content-range': `bytes */${bytes.length}` }).end();
  } else {
    const range = `bytes ${first}-${end - 1}/${bytes.length}`;
    response.writeHead(206, { ...headers, 'content-range': range, 'content-length': end - first });
    response.end(bytes.subarray(first, end));
  }
}
