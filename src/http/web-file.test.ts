import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { describe, type TestContext, test } from 'node:test';
import { ETAG, rangeOf, sendPart, type WebServer, webServer } from '../../test/peer/web-server.ts';
import { messageOf } from '../block/errors.ts';
import { HttpAgent } from './agent.ts';
import { WebFile } from './web-file.ts';

const BYTES = randomBytes(300_000);
const PATIENCE = { retries: 3, delay: 1, growth: 1, debug: () => {} };

/** A file of a server that answers as it is told, after it was found. */
async function fileOf(t: TestContext, answer: RequestListener, path = '/disk') {
  const web = await webServer(t, answer);
  const agent = agentOf(t);
  const options = { followRedirects: true, patience: PATIENCE };
  const file = await WebFile.open(agent, new URL(web.url(path)), options);
  return { web, file };
}

function agentOf(t: TestContext, timeout = 0): HttpAgent {
  const agent = new HttpAgent({ connections: 4, timeout, debug: () => {} });
  t.after(() => agent.close());
  return agent;
}

async function reads(file: WebFile, first = 1000, length = 100_000): Promise<void> {
  const bytes = await file.read(BigInt(first), length);
  assert.ok(BYTES.subarray(first, first + length).equals(bytes));
}

/** Honest but for the given answers, which come once the file was found, one a request. */
function badly(...answers: RequestListener[]): RequestListener {
  let found = false;
  return (request, response) => {
    const next = found ? answers.shift() : undefined;
    found = true;
    if (next) next(request, response);
    else sendPart(request, response, BYTES);
  };
}

const partHead = (request: IncomingMessage) => {
  const { first, end } = rangeOf(request, BYTES.length);
  return { etag: ETAG, 'content-range': `bytes ${first}-${end - 1}/${BYTES.length}` };
};

/** Sends that many bytes of the part and hangs up. */
function cutAfter(count: number): RequestListener {
  return (request, response) => {
    const { first, end } = rangeOf(request, BYTES.length);
    response.writeHead(206, { ...partHead(request), 'content-length': end - first });
    response.write(BYTES.subarray(first, first + count), () => response.destroy());
  };
}

const status = (code: number, headers = {}): RequestListener => {
  return (_, response) => response.writeHead(code, headers).end('trouble');
};

describe('what passes', () => {
  const hangUp: RequestListener = request => request.socket.destroy();
  const shorter: RequestListener = (request, response) => {
    const { first } = rangeOf(request, BYTES.length);
    const range = `bytes ${first}-${first + 9_999}/${BYTES.length}`;
    response.writeHead(206, { etag: ETAG, 'content-range': range });
    response.end(BYTES.subarray(first, first + 10_000));
  };
  const passing: Readonly<Record<string, RequestListener[]>> = {
    'a connection that is dropped': [hangUp, hangUp],
    'an answer that breaks off': [cutAfter(30_000), cutAfter(20_000), cutAfter(100)],
    'trouble of the server': [status(503), status(500), status(502)],
    'too many requests': [status(429, { 'retry-after': '0' })],
    'a part that is shorter': [shorter, shorter],
  };
  for (const [what, answers] of Object.entries(passing)) {
    test(what, async t => {
      const { web, file } = await fileOf(t, badly(...answers));
      await reads(file);
      assert.equal(web.requests.length, 2 + answers.length);
    });
  }

  test('an answer that breaks off is continued, and what came is not asked for again', async t => {
    const { web, file } = await fileOf(t, badly(cutAfter(65_536)));
    await reads(file);
    const { first } = rangeOf(web.requests.at(-1)!, BYTES.length);
    assert.ok(first > 1000, `${first}`);
  });

  test('a server that drops all its connections after some bytes', async t => {
    const { file } = await fileOf(t, badly(...Array(20).fill(cutAfter(9000))));
    await reads(file);
  });

  test('a server that stops in the middle of an answer', async t => {
    const stops: RequestListener = (request, response) => {
      response.writeHead(206, { ...partHead(request), 'content-length': 100_000 });
      response.write(BYTES.subarray(1000, 9000));
    };
    const web = await webServer(t, badly(stops));
    const options = { followRedirects: true, patience: PATIENCE };
    const file = await WebFile.open(agentOf(t, 500), new URL(web.url()), options);
    await reads(file);
  });

  test('an empty file', async t => {
    for (const answer of [
      status(416, { 'content-range': 'bytes */0' }),
      status(200, { 'content-length': '0' }),
    ]) {
      const { file } = await fileOf(t, answer);
      assert.equal(file.size, 0n);
    }
  });

  test('a file as long as a disk may be', async t => {
    const size = 2n ** 63n - 1n;
    const { file } = await fileOf(t, (request, response) => {
      const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range!)!;
      response.writeHead(206, { 'content-range': `bytes ${first}-${last}/${size}` });
      response.end('x'.repeat(Number(BigInt(last!) - BigInt(first!)) + 1));
    });
    assert.equal(file.size, size);
    assert.equal((await file.read(size - 5n, 5)).toString(), Buffer.from('xxxxx').toString());
  });

  test('requests that nobody waits for end, and leave their memory alone', async t => {
    let asked = () => {};
    const silent = new Promise<void>(resolve => {
      asked = resolve;
    });
    const { file } = await fileOf(
      t,
      badly(() => asked()),
    );
    const controller = new AbortController();
    const memory = Buffer.alloc(100);
    const read = file.read(0n, 100, { signal: controller.signal, memory: () => memory });
    await silent;
    controller.abort(new Error('enough'));
    await assert.rejects(read, /enough/);
    await reads(file);
    assert.ok(memory.equals(Buffer.alloc(100)));
  });
});

describe('what is refused as the file is found', () => {
  const refused: Readonly<Record<string, [RequestListener, RegExp]>> = {
    'no ranges': [
      (_, response) => response.writeHead(200, { etag: ETAG }).end(BYTES),
      /sends only the whole file, and no parts of it, which a disk needs \(status 200\)/,
    ],
    'not there': [status(404), /no such file \(status 404\)/],
    denied: [status(403), /access is denied \(status 403\)/],
    'no Content-Range': [status(206), /Content-Range ''/],
    'a Content-Range of another unit': [
      status(206, { 'content-range': 'lines 0-0/9' }),
      /Content-Range 'lines 0-0\/9': expected bytes/,
    ],
    'no size': [status(206, { 'content-range': 'bytes 0-0/*' }), /does not say how long/],
    'another part': [status(206, { 'content-range': 'bytes 5-5/9' }), /another part/],
    'an absurd size': [
      status(206, { 'content-range': 'bytes 0-0/9999999999999999999' }),
      /more than a disk can have/,
    ],
    'redirects without end': [
      (request, response) => response.writeHead(302, { location: `${request.url}x` }).end(),
      /more than 20 redirects/,
    ],
    'a redirect to nowhere': [status(302, { location: 'http://[' }), /which is no address/],
    'trouble that stays': [status(503), /has trouble \(status 503\)/],
    'no HTTP': [request => request.socket.end('220 hello\r\n'), /disk/],
  };
  for (const [what, [answer, why]] of Object.entries(refused)) {
    test(what, async t => {
      await assert.rejects(fileOf(t, answer), error => {
        assert.match(messageOf(error), why);
        assert.match(messageOf(error), /^http:\/\/127\.0\.0\.1:\d+\/[^\n]*$/);
        return true;
      });
    });
  }

  test('nobody listens', async t => {
    const web = await webServer(t, status(200));
    web.close();
    const options = { followRedirects: true, patience: PATIENCE };
    const opening = WebFile.open(agentOf(t), new URL(web.url('/x?secret=1')), options);
    await assert.rejects(opening, error => {
      assert.match(messageOf(error), /\/x\?\.\.\.: the connection is refused/);
      return true;
    });
  });
});

describe('what is refused as it is read', () => {
  const part = (headers: object): RequestListener => {
    return (request, response) => {
      response.writeHead(206, { ...partHead(request), ...headers }).end(BYTES.subarray(0, 100_000));
    };
  };
  const refused: Readonly<Record<string, [RequestListener, RegExp]>> = {
    'a file that has changed, by If-Range': [status(200, { etag: '"two"' }), /has changed/],
    'a file that has changed, by its ETag': [part({ etag: '"two"' }), /has changed/],
    'a file that has changed, by its size': [
      part({ 'content-range': 'bytes 1000-100999/300001' }),
      /has changed/,
    ],
    'a file that was cut': [status(416, { 'content-range': 'bytes */10' }), /has changed/],
    'another range': [
      part({ 'content-range': 'bytes 0-99999/300000' }),
      /sent bytes 0-99999, bytes 1000-100999 were asked for/,
    ],
    'a longer range': [part({ 'content-range': 'bytes 1000-101000/300000' }), /were asked for/],
    'more bytes than it said': [part({ 'content-range': 'bytes 1000-1999/300000' }), /more than/],
    'the whole of it': [status(200, { etag: ETAG }), /only the whole file/],
    'a file that is gone': [status(404), /no such file/],
  };
  for (const [what, [answer, why]] of Object.entries(refused)) {
    test(what, async t => {
      const { web, file } = await fileOf(t, badly(answer));
      await assert.rejects(file.read(1000n, 100_000), why);
      assert.equal(web.requests.length, 2, 'it is not tried again');
    });
  }

  test('trouble that stays', async t => {
    const { web, file } = await fileOf(t, badly(...Array(9).fill(status(503))));
    await assert.rejects(file.read(0n, 512), /has trouble \(status 503\)/);
    assert.equal(web.requests.length, 1 + 1 + PATIENCE.retries);
  });

  test('a server that gives next to nothing each time', async t => {
    const { file } = await fileOf(t, badly(...Array(9).fill(cutAfter(3))));
    await assert.rejects(file.read(0n, 4096), { errno: 'EIO' });
  });

  test('a date instead of an ETag', async t => {
    let date = 'Tue, 01 Sep 2026 00:00:00 GMT';
    const { file } = await fileOf(t, (request, response) =>
      sendPart(request, response, BYTES, { 'last-modified': date }),
    );
    await reads(file);
    date = 'Wed, 02 Sep 2026 00:00:00 GMT';
    await assert.rejects(file.read(0n, 512), /has changed/);
  });
});

describe('an address that redirects', () => {
  /** `/disk` leads to `/links/N`, of which only the newest are good. */
  function links(last: { link: number }, headers?: () => Record<string, string>): RequestListener {
    let count = 0;
    return (request, response) => {
      if (request.url === '/disk') {
        count += 1;
        response.writeHead(302, { location: `/links/${count}` }).end();
      } else if (Number(request.url!.split('/').at(-1)) < last.link) status(403)(request, response);
      else sendPart(request, response, BYTES, headers?.());
    };
  }
  const asked = (web: WebServer) => web.requests.filter(({ url }) => url === '/disk').length;

  test('is asked once', async t => {
    const { web, file } = await fileOf(t, links({ link: 0 }));
    await Promise.all([reads(file), reads(file, 5), reads(file, 7000, 5)]);
    assert.equal(asked(web), 1);
  });

  test('is asked again when the link has expired, once for all', async t => {
    const last = { link: 0 };
    const { web, file } = await fileOf(t, links(last));
    last.link = 2;
    await Promise.all([reads(file), reads(file, 5), reads(file, 7000, 5)]);
    assert.equal(asked(web), 2);
  });

  test('and leads to a file that is not there: that is all', async t => {
    const last = { link: 0 };
    const { file } = await fileOf(t, links(last));
    last.link = Number.POSITIVE_INFINITY;
    await assert.rejects(file.read(0n, 512), { errno: 'EACCES' });
  });

  test('and leads to another file', async t => {
    const last = { link: 0 };
    let etag = ETAG;
    const { file } = await fileOf(
      t,
      links(last, () => ({ etag })),
    );
    last.link = 2;
    etag = '"two"';
    await assert.rejects(file.read(0n, 512), /has changed/);
  });

  test('a pool of servers: one that is gone is left for one with the same file', async t => {
    const date = { 'last-modified': 'Tue, 01 Sep 2026 00:00:00 GMT' };
    const member = (etag: string) =>
      webServer(t, (request, response) => sendPart(request, response, BYTES, { ...date, etag }));
    const members = [await member('"a"'), await member('"b"')];
    let next = 0;
    const redirect = (_: IncomingMessage, response: ServerResponse) =>
      response.writeHead(302, { location: members[next]!.url() }).end();
    const { file } = await fileOf(t, redirect);
    await reads(file);
    members[0]!.close();
    next = 1;
    await reads(file);
    await reads(file, 77);
  });
});
