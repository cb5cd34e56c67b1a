import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer, request as httpRequest, type IncomingMessage } from 'node:http';
import type net from 'node:net';
import { join } from 'node:path';
import { after, before, describe, type TestContext, test } from 'node:test';
import { deviceContract } from '../../../test/contract/contract.ts';
import { makersOf, openPlugin, pluginSource, REQUEST } from '../../../test/contract/open.ts';
import { sendPart, startWeb, type WebServer, webServer } from '../../../test/peer/web-server.ts';
import { temporaryFolder } from '../../../test/peer/wire.ts';
import { contiguous } from '../../block/data.ts';
import type { BlockDevice } from '../../block/device.ts';
import { messageOf } from '../../block/errors.ts';
import { AllowedHosts } from './allowed.ts';
import { answerTo, challengeIn } from './digest.ts';
import { addressOf } from './settings.ts';

const BYTES = randomBytes(1_000_001);
let honest: WebServer;
before(async () => {
  honest = await startWeb((request, response) => sendPart(request, response, BYTES));
});
after(() => honest.close());

deviceContract('curl', () => openPlugin('curl', honest.url()), {
  writes: 'none',
  makers: makersOf('curl'),
});

/** A server that shows what it was asked for, and answers well if it likes it. */
async function picky(t: TestContext, likes: (request: IncomingMessage) => boolean, headers = {}) {
  return webServer(t, (request, response) => {
    if (likes(request)) sendPart(request, response, BYTES, { etag: '"one"', ...headers });
    else response.writeHead(401, headers).end();
  });
}

/** Opens and reads, and closes with the test. */
async function opened(t: TestContext, ...words: string[]): Promise<BlockDevice> {
  const source = await pluginSource('curl', ...words);
  const device = await source.open(REQUEST);
  t.after(async () => {
    await device.close?.();
    await source.close?.();
  });
  const bytes = contiguous(await device.read(10n, 100));
  assert.ok(BYTES.subarray(10, 110).equals(bytes));
  return device;
}

test('bytes come into the memory that was lent', async t => {
  const device = await opened(t, honest.url());
  const lent = Buffer.alloc(4096);
  const answer = await device.read(0n, 4096, { memory: () => lent });
  assert.equal(contiguous(answer).buffer, lent.buffer);
});

test('all connections have the file that the first has found', async t => {
  const web = await webServer(t, (request, response) => sendPart(request, response, BYTES));
  const source = await pluginSource('curl', web.url());
  const devices = await Promise.all([1, 2, 3].map(() => source.open(REQUEST)));
  assert.equal(web.requests.length, 1);
  assert.deepEqual(
    devices.map(({ multiConn, write }) => [multiConn, write]),
    Array(3).fill([true, undefined]),
  );
  for (const device of devices) await device.close?.();
  await source.close?.();
});

describe('headers', () => {
  test('are added and taken away', async t => {
    const web = await picky(t, ({ headers }) => headers['x-one'] === '1 and 2');
    const words = ['header=X-One: 1 and 2', 'header=X-Empty;', 'header=Accept-Encoding:'];
    await opened(t, web.url(), ...words, 'user-agent=me', 'cookie=a=b; c=d');
    const { headers } = web.requests[0]!;
    assert.equal(headers['x-empty'], '');
    assert.equal(headers['accept-encoding'], undefined);
    assert.equal(headers['user-agent'], 'me');
    assert.equal(headers.cookie, 'a=b; c=d');
  });

  test('there is no user agent unless given', async t => {
    const web = await picky(t, () => true);
    await opened(t, web.url());
    assert.equal(web.requests[0]!.headers['user-agent'], undefined);
  });

  test('of scripts, which run again when they are refused', async t => {
    let token = 'token-0';
    const web = await picky(
      t,
      ({ headers }) =>
        headers.authorization === token && headers.cookie === `n=${headers['x-url']}`,
    );
    const device = await opened(
      t,
      web.url(),
      'header-script=echo "Authorization: token-$iteration"; echo "X-Url: $url"',
      'cookie-script=printf "n=$url"',
    );
    token = 'token-1';
    await Promise.all([device.read(0n, 512), device.read(512n, 512), device.read(0n, 4)]);
    token = 'token-0';
    await assert.rejects(async () => device.read(0n, 512), { errno: 'EACCES' });
  });

  test('of a script that is run again after a while', async t => {
    const web = await picky(t, () => true);
    const words = ['header-script=echo "X: $iteration"', 'header-script-renew=1'];
    const device = await opened(t, web.url(), ...words);
    assert.equal(web.requests.at(-1)!.headers.x, '0');
    await new Promise(resolve => setTimeout(resolve, 1010));
    await device.read(0n, 512);
    assert.equal(web.requests.at(-1)!.headers.x, '1');
  });

  test('a script that fails', async t => {
    const source = await pluginSource('curl', honest.url(), 'header-script=echo why >&2; exit 3');
    t.after(() => source.close?.());
    await assert.rejects(async () => source.open(REQUEST), {
      message: 'header-script: it failed with status 3: why',
    });
  });
});

describe('who asks', () => {
  const USER = ['user=alice', 'password=secret'];
  const BASIC = `Basic ${Buffer.from('alice:secret').toString('base64')}`;

  test('basic: the password is sent when it is asked for', async t => {
    const challenge = { 'www-authenticate': 'Basic realm="here"' };
    const likes = ({ headers }: IncomingMessage) => headers.authorization === BASIC;
    const web = await picky(t, likes, challenge);
    await opened(t, web.url(), ...USER);
    assert.deepEqual(
      web.requests.map(({ headers }) => headers.authorization),
      [undefined, BASIC, BASIC],
    );
    const inUrl = web.url().replace('//', '//alice:secret@');
    await opened(t, inUrl);
  });

  test('digest', async t => {
    const hash = (text: string) => createHash('sha256').update(text).digest('hex');
    const likes = ({ headers, method }: IncomingMessage) => {
      const field = (name: string) =>
        new RegExp(`\\b${name}="?([^",]+)`).exec(headers.authorization ?? '')?.[1];
      const [uri, nc, cnonce] = ['uri', 'nc', 'cnonce'].map(field);
      const secret = hash('alice:here:secret');
      const expected = hash(`${secret}:abc:${nc}:${cnonce}:auth:${hash(`${method}:${uri}`)}`);
      return field('response') === expected;
    };
    const offers = ['md5', 'SHA-256'].map(
      algorithm => `Digest realm="here", nonce="abc", qop="auth", algorithm=${algorithm}`,
    );
    const web = await picky(t, likes, { 'www-authenticate': [...offers, 'Basic realm="here"'] });
    await opened(t, web.url(), ...USER);
    const counts = web.requests.map(({ headers }) => /nc=(\d+)/.exec(headers.authorization ?? ''));
    assert.deepEqual(
      counts.map(match => match?.[1]),
      [undefined, '00000001', '00000002'],
    );
  });

  test('the answers of the documents on digests', () => {
    const header =
      'Digest realm="testrealm@host.com", qop="auth,auth-int", ' +
      'nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", opaque="5ccc069c403ebaf9f0171e9517f40e41"';
    const who = { user: 'Mufasa', password: 'Circle Of Life' };
    const answer = answerTo(challengeIn(header)!, who, 'GET', '/dir/index.html', 1, '0a4f113b');
    assert.match(answer, /response="6629fae49393a05397450978507c4ef1"/);
    assert.equal(challengeIn('Basic realm="digest nonce=1"'), undefined);
    assert.equal(challengeIn('Digest realm="x", nonce="1", algorithm=ROT13'), undefined);
  });

  test('no other server is told', async t => {
    const other = await picky(t, () => true);
    const likes = ({ headers }: IncomingMessage) => headers.authorization === BASIC;
    const web = await webServer(t, (request, response) => {
      if (likes(request)) response.writeHead(307, { location: other.url('/there') }).end();
      else response.writeHead(401, { 'www-authenticate': 'Basic' }).end();
    });
    const words = [...USER, 'cookie=a=b', 'header=X-Other: shown', 'cookiefile='];
    await opened(t, web.url(), ...words);
    assert.equal(web.requests.at(-1)!.headers.cookie, 'a=b');
    for (const { headers } of other.requests) {
      const { authorization, cookie, 'x-other': shown } = headers;
      assert.deepEqual([authorization, cookie, shown], [undefined, undefined, 'shown']);
    }
  });
});

test('cookies that are set on the way are sent, and kept in the jar', async t => {
  const jar = join(temporaryFolder(t), 'jar');
  const domain = '127.0.0.1';
  writeFileSync(
    jar,
    `# cookies\n${domain}\tFALSE\t/\tFALSE\t0\told\t1\n#HttpOnly_${domain}\tFALSE\t/\tFALSE\t4102444800\tkept\t2\n`,
  );
  const web = await webServer(t, (request, response) => {
    if (request.url === '/disk') {
      const set = ['new=3; Path=/; Max-Age=9999', 'elsewhere=4; Domain=example.com'];
      response.writeHead(302, { location: '/there', 'set-cookie': set }).end();
    } else sendPart(request, response, BYTES);
  });
  const source = await pluginSource('curl', web.url(), `cookiejar=${jar}`);
  const device = await source.open(REQUEST);
  await device.close?.();
  await source.close?.();
  const sent = web.requests.map(({ headers }) => headers.cookie!.split('; ').sort());
  assert.deepEqual(sent, [
    ['kept=2', 'old=1'],
    ['kept=2', 'new=3', 'old=1'],
  ]);
  const lines = readFileSync(jar, 'utf8').split('\n').slice(1, -1);
  assert.deepEqual(lines.map(line => line.split('\t').slice(5).join('=')).sort(), sent[1]);
  assert.match(
    readFileSync(jar, 'utf8'),
    /^#HttpOnly_127\.0\.0\.1\tFALSE\t\/\tFALSE\t4102444800\tkept\t2$/m,
  );
});

describe('the way there', () => {
  test('a Unix socket', async t => {
    const path = join(temporaryFolder(t), 'socket');
    const server = createServer((request, response) => sendPart(request, response, BYTES));
    await new Promise<void>(resolve => server.listen(path, resolve));
    t.after(() => {
      server.closeAllConnections();
      server.close();
    });
    await opened(t, 'http://example.com/disk', `unix-socket-path=${path}`);
  });

  test('a name that is not looked up', async t => {
    const place = `disks.example:${honest.port}`;
    await opened(t, `http://${place}/disk`, `resolve=${place}:127.0.0.1`, 'ipresolve=v4');
    const v6 = await pluginSource(
      'curl',
      `http://${place}/`,
      `resolve=${place}:127.0.0.1`,
      'ipresolve=6',
    );
    t.after(() => v6.close?.());
    await assert.rejects(async () => v6.open(REQUEST), /disks\.example has no IPv6 address/);
  });

  /** A proxy for both kinds of requests, which wants a password. */
  async function proxy(t: TestContext) {
    const asked: string[] = [];
    const server = createServer((request, response) => {
      asked.push(`${request.method} ${request.url}`);
      if (request.headers['proxy-authorization'] === undefined) response.writeHead(407).end();
      else {
        const { url, headers, method } = request;
        const onward = httpRequest(url!, { headers, method }, answer => {
          response.writeHead(answer.statusCode!, answer.headers);
          answer.pipe(response);
        });
        onward.end();
      }
    });
    server.on('connect', (request, socket) => {
      asked.push(`CONNECT ${request.url}`);
      socket.end('HTTP/1.1 502 no\r\n\r\n');
    });
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
    t.after(() => {
      server.closeAllConnections();
      server.close();
    });
    return { asked, address: `127.0.0.1:${(server.address() as net.AddressInfo).port}` };
  }

  test('a proxy', async t => {
    const { asked, address } = await proxy(t);
    const url = `http://nowhere.example:${honest.port}/disk`;
    const words = [`proxy=${address}`, 'proxy-user=me', 'proxy-password=secret'];
    await assert.rejects(opened(t, honest.url(), `proxy=http://${address}`), { errno: 'EACCES' });
    await opened(t, honest.url(), ...words);
    assert.equal(asked.at(-1), `GET ${honest.url()}`);
    const secure = await pluginSource('curl', url.replace('http', 'https'), ...words);
    t.after(() => secure.close?.());
    await assert.rejects(async () => secure.open(REQUEST));
    assert.equal(asked.at(-1), `CONNECT nowhere.example:${honest.port}`);
  });
});

describe('servers that may be asked', () => {
  const list = new AllowedHosts(['images.example,*.cdn.example', '10.0.0.0/8', 'fd00::/8']);
  const allowed = (act: () => void) => {
    try {
      act();
      return true;
    } catch (error) {
      assert.match(messageOf(error), /is not among allow-hosts$/);
      return false;
    }
  };
  const urls: readonly [url: string, yes: boolean][] = [
    ['http://images.example/', true],
    ['http://IMAGES.EXAMPLE:99/', true],
    ['http://a.cdn.example/', true],
    ['http://xcdn.example/', true],
    ['http://10.1.2.3/', true],
    ['http://[fd00::1]/', true],
    ['http://11.1.2.3/', false],
    ['http://169.254.169.254/', false],
    ['http://[::ffff:169.254.169.254]/', false],
    ['http://0xa9fea9fe/', false],
  ];
  for (const [url, yes] of urls) {
    test(url, () =>
      assert.equal(
        allowed(() => list.checkUrl(new URL(url))),
        yes,
      ),
    );
  }

  const addresses: readonly [host: string, address: string, yes: boolean][] = [
    ['images.example', '1.2.3.4', true],
    ['images.example', '169.254.169.254', false],
    ['images.example', 'fe80::1', false],
    ['other.example', '1.2.3.4', false],
    ['other.example', '10.2.3.4', true],
    ['xcdn.example', '1.2.3.4', false],
  ];
  for (const [host, address, yes] of addresses) {
    test(`${host} as ${address}`, () =>
      assert.equal(
        allowed(() => list.checkAddress(host, address)),
        yes,
      ));
  }

  test('are those that redirects lead to, too', async t => {
    const web = await webServer(t, (_, response) =>
      response.writeHead(302, { location: 'http://169.254.169.254/credentials' }).end(),
    );
    const source = await pluginSource('curl', web.url(), 'allow-hosts=127.0.0.1');
    t.after(() => source.close?.());
    await assert.rejects(async () => source.open(REQUEST), {
      message: '169.254.169.254 is not among allow-hosts',
    });
    await opened(t, honest.url(), 'allow-hosts=127.0.0.0/8');
    const named = await pluginSource(
      'curl',
      honest.url().replace('127.0.0.1', 'localhost'),
      'allow-hosts=127.0.0.2',
    );
    t.after(() => named.close?.());
    await assert.rejects(
      async () => named.open(REQUEST),
      /^BlockError: localhost, which is .*, is not among/,
    );
  });

  test('by the schemes', async t => {
    const source = await pluginSource('curl', honest.url(), 'protocols=https,ftp');
    t.after(() => source.close?.());
    await assert.rejects(async () => source.open(REQUEST), /http: is not among protocols/);
  });
});

test('redirects are not followed when they must not be', async t => {
  const web = await webServer(t, (_, response) =>
    response.writeHead(302, { location: honest.url() }).end(),
  );
  await opened(t, web.url());
  const source = await pluginSource('curl', web.url(), 'followlocation=false');
  t.after(() => source.close?.());
  await assert.rejects(async () => source.open(REQUEST), /redirects elsewhere \(status 302\)/);
});

describe('what is refused', () => {
  const refused: readonly [words: string[], why: RegExp][] = [
    [[], /^url: must be given/],
    [['nonsense'], /^url: cannot be parsed/],
    [['file:///etc/passwd'], /^url: file: is not supported: .*file plugin/],
    [['ftp://a/b'], /^url: ftp: is not supported: expected http: or https:$/],
    [['http://a:%zz@b/'], /^url: user or password/],
    [['http://a/', 'header=nonsense'], /^header: expected/],
    [['http://a/', 'header=A: b\nC: d'], /^header: expected/],
    [['http://a/', 'header=A: b', 'header-script=true'], /^header: not with/],
    [['http://a/', 'cookie=a=b', 'cookie-script=true'], /^cookie: not with/],
    [['http://a/', 'cookie-script-renew=3'], /^cookie-script-renew: needs/],
    [['http://a/', 'ssl-version=sslv3'], /^ssl-version: 'sslv3' is not supported/],
    [['http://a/', 'ssl-cipher-list=nonsense'], /^TLS: /],
    [['http://a/', 'cainfo=/nonexistent'], /^cainfo: no such file or directory$/],
    [['http://a/', 'cainfo=/dev/null'], /^cainfo: '\/dev\/null': there are no certificates/],
    [['http://a/', 'protocols=ftp'], /^protocols: 'ftp'/],
    [['http://a/', 'resolve=a:b'], /^resolve: 'a:b'/],
    [['http://a/', 'proxy=socks4://b'], /^proxy: socks4:\/\/ is not supported/],
    [['http://a/', 'proxy=b', 'unix-socket-path=c'], /^unix-socket-path: excludes/],
    [['http://a/', 'allow-hosts=a b'], /^allow-hosts: 'a b'/],
    [['http://a/', 'allow-hosts=10.0.0.0/33'], /^allow-hosts/],
  ];
  for (const [words, why] of refused) {
    test(words.join(' '), () =>
      assert.rejects(pluginSource('curl', ...words), { name: 'UsageError', message: why }),
    );
  }
});

test('an address without its secrets', () => {
  const { url, user, password } = addressOf('https://a:b%40c@host/path?x=1#y');
  assert.deepEqual([url.href, user, password], ['https://host/path?x=1', 'a', 'b@c']);
});
