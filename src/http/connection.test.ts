import assert from 'node:assert/strict';
import net from 'node:net';
import { describe, type TestContext, test } from 'node:test';
import { messageOf } from '../block/errors.ts';
import { HttpAgent } from './agent.ts';
import { AsText, Dechunker } from './body.ts';
import { parseHead } from './head.ts';

/** A server that says what it is told, once for each request. */
async function saying(t: TestContext, ...answers: (string | Buffer)[][]) {
  const requests: string[] = [];
  let connections = 0;
  const server = net.createServer(socket => {
    connections += 1;
    socket.on('error', () => {});
    socket.on('data', async bytes => {
      requests.push(bytes.toString());
      for (const part of answers.shift() ?? []) {
        if (part === HANG_UP) socket.end();
        else socket.write(part);
        await new Promise(setImmediate);
      }
    });
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  const agent = new HttpAgent({ connections: 1, timeout: 0, debug: () => {} });
  t.after(() => {
    agent.close();
    server.close();
  });
  const url = new URL(`http://127.0.0.1:${(server.address() as net.AddressInfo).port}/x?y`);
  const get = async (method: 'GET' | 'HEAD' | 'PUT' = 'GET', body?: Uint8Array) => {
    const text = new AsText(1 << 20);
    const head = await agent.send({ method, url, body, take: () => text });
    return { ...head, text: text.text };
  };
  return { get, requests, connections: () => connections, url };
}

const HANG_UP = 'hang up';
const OK = 'HTTP/1.1 200 OK\r\n';
const SHORT = `${OK}Content-Length: 2\r\n\r\nhi`;

describe('answers', () => {
  const good: Readonly<Record<string, [(string | Buffer)[], string]>> = {
    'with a length': [[SHORT], 'hi'],
    'byte by byte': [[...`${SHORT}`], 'hi'],
    'without a body': [[`${OK}content-length: 0\r\n\r\n`], ''],
    'up to the end of the connection': [[`${OK}\r\n`, 'hello', HANG_UP], 'hello'],
    'after others that are not it': [[`HTTP/1.1 100 Continue\r\n\r\n${SHORT}`], 'hi'],
    'in chunks': [
      [`${OK}Transfer-Encoding: chunked\r\n\r\n`, '2\r\nhi\r\n3;x=y\r\n yo\r\n0\r\nT: x\r\n\r\n'],
      'hi yo',
    ],
    'in chunks, byte by byte': [
      [...`${OK}transfer-encoding: Chunked\r\n\r\nA\r\n0123456789\r\n0\r\n\r\n`],
      '0123456789',
    ],
    'with a length that is said twice': [
      [SHORT.replace('\r\n', '\r\ncontent-length: 2\r\n')],
      'hi',
    ],
  };
  for (const [what, [answer, text]] of Object.entries(good)) {
    test(what, async t => {
      const { get, connections } = await saying(t, answer, [SHORT]);
      assert.equal((await get()).text, text);
      assert.equal((await get()).text, 'hi');
      assert.equal(connections(), what.startsWith('up to') ? 2 : 1);
    });
  }

  test('to HEAD have a length and no body', async t => {
    const { get } = await saying(t, [`${OK}Content-Length: 99\r\n\r\n`], [SHORT]);
    assert.equal((await get('HEAD')).text, '');
    assert.equal((await get()).text, 'hi');
  });

  test('headers that come several times', async t => {
    const { get } = await saying(t, [`${OK}A: 1 \r\na:2\r\nB:\r\nContent-Length: 0\r\n\r\n`]);
    const { headers } = await get();
    assert.deepEqual({ ...headers }, { a: ['1', '2'], b: '', 'content-length': '0' });
  });

  const bad: Readonly<Record<string, [(string | Buffer)[], RegExp]>> = {
    'of another protocol': [['220 smtp\r\n\r\n'], /is no HTTP: '220 smtp'/],
    'of another version': [['HTTP/2 200 OK\r\n\r\n'], /is no HTTP/],
    'with a head without end': [['x'.repeat(70_000)], /head of the answer is too long/],
    'with a header that is none': [[`${OK}what\r\n\r\n`], /a header that is none/],
    'with a header that goes on in the next line': [
      [`${OK}A: b\r\n c\r\n\r\n`],
      /a header that is/,
    ],
    'with two lengths': [
      [`${OK}Content-Length: 1\r\nContent-Length: 2\r\n\r\n`],
      /a Content-Length that is none/,
    ],
    'with a length below zero': [
      [`${OK}Content-Length: -1\r\n\r\n`],
      /a Content-Length that is none/,
    ],
    'with a length and chunks': [
      [`${OK}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n`],
      /two lengths/,
    ],
    'in another coding': [[`${OK}Transfer-Encoding: gzip\r\n\r\n`], /unknown Transfer-Encoding/],
    'in chunks that are none': [
      [`${OK}Transfer-Encoding: chunked\r\n\r\nx\r\n`],
      /chunks that are none/,
    ],
    'in chunks without end': [
      [`${OK}Transfer-Encoding: chunked\r\n\r\n`, '1'.repeat(5000)],
      /chunks that are none/,
    ],
    'that break off': [[`${OK}Content-Length: 9\r\n\r\nhi`, HANG_UP], /the server hung up/],
    'that never come': [[HANG_UP], /the server hung up/],
  };
  for (const [what, [answer, why]] of Object.entries(bad)) {
    test(what, async t => {
      const { get } = await saying(t, answer);
      await assert.rejects(get(), error => {
        assert.match(messageOf(error), why);
        assert.match(messageOf(error), /^http:\/\/127\.0\.0\.1:\d+\/x\?\.\.\.: /);
        return true;
      });
    });
  }
});

describe('connections', () => {
  test('are used again, and left when the server wants that', async t => {
    const close = SHORT.replace('\r\n', '\r\nConnection: close\r\n');
    const old = SHORT.replace('HTTP/1.1', 'HTTP/1.0');
    const { get, connections } = await saying(t, [SHORT], [SHORT], [close], [old], [SHORT]);
    for (let turn = 0; turn < 5; turn++) await get();
    assert.equal(connections(), 3);
  });

  test('that the server has closed meanwhile are no error', async t => {
    const { get, connections, requests } = await saying(t, [SHORT], [HANG_UP], [SHORT]);
    await get();
    assert.equal((await get('PUT', Buffer.from('body'))).text, 'hi');
    assert.deepEqual([connections(), requests.length], [2, 3]);
    assert.match(
      requests[2]!,
      /^PUT \/x\?y HTTP\/1\.1\r\nhost: .*\r\ncontent-length: 4\r\n\r\nbody$/s,
    );
  });

  test('on which something comes that nobody has asked for are left', async t => {
    const { get, connections } = await saying(t, [SHORT + SHORT], [SHORT]);
    assert.equal((await get()).text, 'hi');
    await new Promise(resolve => setTimeout(resolve, 10));
    assert.equal((await get()).text, 'hi');
    assert.equal(connections(), 2);
  });

  test('requests wait for one in order, or for nobody', async t => {
    const { get, connections } = await saying(t, [SHORT], [SHORT], [SHORT]);
    await Promise.all([get(), get(), get()]);
    assert.equal(connections(), 1);
  });
});

test('headers are one line each', async t => {
  const { url } = await saying(t);
  const agent = new HttpAgent({ connections: 1, timeout: 0, debug: () => {} });
  t.after(() => agent.close());
  const headers = { a: 'b\r\nc: d' };
  await assert.rejects(agent.send({ method: 'GET', url, headers }), /the header a is not one line/);
});

test('random bytes are no chunks and no head, and end', () => {
  for (let seed = 1; seed < 2000; seed++) {
    const bytes = Buffer.from(
      Array.from({ length: 40 }, (_, at) =>
        '01afx;\r\n :'.charCodeAt((seed * 31 + at * seed * 7) % 10),
      ),
    );
    for (const act of [
      () => new Dechunker(new AsText(1000)).take(bytes),
      () => parseHead(`HTTP/1.1 200 OK\r\n${bytes}\r\n\r\n`, 'GET'),
    ]) {
      try {
        act();
      } catch (error) {
        assert.match(messageOf(error), /^the answer (has|is)/);
      }
    }
  }
});
