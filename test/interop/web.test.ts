/** Disks on real web servers. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, type TestContext, test } from 'node:test';
import { makeCertificates } from '../peer/certificates.ts';
import { freePort, listens } from '../peer/ports.ts';
import { temporaryFolder } from '../peer/wire.ts';
import { has, ourCommands, run, runWell, startProgram } from './programs.ts';

const SIZE = 5_000_001;

let certificates: string | undefined;
after(() => certificates && rmSync(certificates, { recursive: true }));

/** A folder of certificates, made once. */
function certified(): string {
  certificates ??= mkdtempSync(join(tmpdir(), 'nbdpipe-web-'));
  const pki = join(certificates, 'pki');
  if (!existsSync(pki)) makeCertificates(pki);
  return pki;
}

/** nginx over TLS with a file of random bytes, which `/link` redirects to. */
async function nginx(t: TestContext) {
  const folder = temporaryFolder(t);
  const file = (name: string) => join(folder, name);
  const pki = certified();
  mkdirSync(file('web'));
  const bytes = randomBytes(SIZE);
  writeFileSync(file('web/disk'), bytes);
  writeFileSync(file('users'), 'alice:{PLAIN}secret\n');
  const port = await freePort();
  writeFileSync(
    file('nginx.conf'),
    `daemon off; master_process off; pid ${file('pid')}; error_log stderr; ${process.getuid?.() === 0 ? 'user root;' : ''}
    events {}
    http {
      access_log off; client_body_temp_path ${file('1')}; proxy_temp_path ${file('2')};
      fastcgi_temp_path ${file('3')}; uwsgi_temp_path ${file('4')}; scgi_temp_path ${file('5')};
      server {
        listen 127.0.0.1:${port} ssl; root ${file('web')};
        ssl_certificate ${pki}/server-cert.pem;
        ssl_certificate_key ${pki}/server-key.pem;
        location /link { return 302 /disk; }
        location /secret { auth_basic "x"; auth_basic_user_file ${file('users')}; alias ${file('web/disk')}; }
        location /whole { max_ranges 0; alias ${file('web/disk')}; }
      }
    }`,
  );
  await startProgram(t, 'nginx', ['-c', file('nginx.conf'), '-e', 'stderr'], () => listens(port));
  return { base: `https://localhost:${port}`, ca: `${pki}/ca-cert.pem`, bytes, folder };
}

test('curl from nginx over TLS', async t => {
  if (!has(t, 'nginx', 'openssl')) return;
  const { base, ca, bytes, folder } = await nginx(t);
  const { env } = ourCommands(t);
  const nbdkit = (...words: string[]) => run('nbdkit', ['-U', '-', 'curl', ...words], { env });
  const to = join(folder, 'copy');
  const copy = ['--run', `nbdcopy "$uri" '${to}'`];
  for (const path of ['/disk', '/link']) {
    const { status, stderr } = await nbdkit(base + path, `cainfo=${ca}`, ...copy);
    assert.deepEqual([status, stderr], [0, '']);
    assert.ok(readFileSync(to).equals(bytes));
  }
  const info = ['--run', 'nbdinfo --size "$uri"'];
  assert.equal((await nbdkit(`${base}/disk`, 'sslverify=false', ...info)).stdout, `${SIZE}\n`);
  const refused: readonly [words: string[], why: RegExp][] = [
    [[`${base}/disk`], /authority that is not trusted/],
    [[`${base}/nothing`, `cainfo=${ca}`], /no such file \(status 404\)/],
    [[`${base}/secret`, `cainfo=${ca}`], /access is denied \(status 401\)/],
    [[`${base}/whole`, `cainfo=${ca}`], /sends only the whole file/],
    [[`${base.replace('https', 'http')}/disk`], /status 400/],
  ];
  for (const [words, why] of refused) {
    const { status, stderr } = await nbdkit(...words, ...info);
    assert.equal(status, 1);
    assert.match(stderr, why);
  }
});

test('curl over TLS through a proxy', async t => {
  if (!has(t, 'nginx', 'openssl')) return;
  const { base, ca, bytes, folder } = await nginx(t);
  const { env } = ourCommands(t);
  const asked: string[] = [];
  const proxy = createServer();
  proxy.on('connect', (request, client: net.Socket) => {
    asked.push(`${request.url} ${request.headers['proxy-authorization']}`);
    const server = net.connect(Number(request.url!.split(':')[1]), '127.0.0.1', () => {
      client.write('HTTP/1.1 200 fine\r\n\r\n');
      server.pipe(client).pipe(server);
    });
    server.on('error', () => client.destroy());
    client.on('error', () => server.destroy());
  });
  await new Promise<void>(resolve => proxy.listen(0, '127.0.0.1', resolve));
  t.after(() => proxy.close());
  const address = `127.0.0.1:${(proxy.address() as net.AddressInfo).port}`;
  const words = [`proxy=http://me:secret@${address}`, `cainfo=${ca}`, 'connections=2'];
  const to = join(folder, 'copy');
  const run = ['--run', `nbdcopy "$uri" '${to}'`];
  await runWell('nbdkit', ['-U', '-', 'curl', `${base}/disk`, ...words, ...run], { env });
  assert.ok(readFileSync(to).equals(bytes));
  const secret = Buffer.from('me:secret').toString('base64');
  assert.equal(asked[0], `${base.replace('https://', '')} Basic ${secret}`);
});

test('no secret is shown', async t => {
  if (!has(t, 'nginx', 'openssl')) return;
  const { base, ca, folder } = await nginx(t);
  const { env } = ourCommands(t);
  writeFileSync(join(folder, 'password'), 'secret\n');
  const words = [
    ...['-v', '-U', '-', 'curl', `${base.replace('//', '//bob:hidden1@')}/secret?token=hidden2`],
    ...['user=alice', `password=+${join(folder, 'password')}`, `cainfo=${ca}`],
    ...['header=X-Token: hidden3', 'cookie-script=echo a=hidden4', '-D', 'curl.scripts=1'],
  ];
  const info = ['--run', 'nbdinfo --size "$uri"'];
  const { stdout, stderr } = await run('nbdkit', [...words, ...info], { env });
  assert.equal(stdout, `${SIZE}\n`);
  assert.match(stderr, /debug: GET https:\/\/localhost:\d+\/secret\?\.\.\. bytes=0-0: status 206/);
  assert.doesNotMatch(stderr, /hidden|token=|secret\b(?!\?)/);
});

test('nbdimg of a compressed image at an address', async t => {
  if (!has(t, 'nginx', 'openssl', 'xz')) return;
  const { base, ca, bytes, folder } = await nginx(t);
  const env = { ...ourCommands(t).env, CURL_CA_BUNDLE: ca };
  const web = join(folder, 'web');
  await runWell('xz', ['--keep', '-0', '--block-size=1MiB', join(web, 'disk')]);
  const to = join(folder, 'copy');
  await runWell('nbdimg', ['convert', '-O', 'raw', `${base}/disk.xz?x=1`, to], { env });
  assert.ok(readFileSync(to).subarray(0, SIZE).equals(bytes));
  // Said to be raw it is what it is, and so is a disk that only begins like a compressed file.
  const packed = readFileSync(join(web, 'disk.xz'));
  await runWell('nbdimg', ['convert', '-f', 'raw', '-O', 'raw', `${base}/disk.xz`, to], { env });
  assert.ok(readFileSync(to).subarray(0, packed.length).equals(packed));
  writeFileSync(join(web, 'disk.raw'), packed);
  await runWell('nbdimg', ['convert', '-O', 'raw', `${base}/disk.raw`, to], { env });
  assert.ok(readFileSync(to).subarray(0, packed.length).equals(packed));
});

test('nbdcopy and nbdinfo of an address', async t => {
  if (!has(t, 'nginx', 'openssl')) return;
  const { base, ca, bytes, folder } = await nginx(t);
  const env = { ...ourCommands(t).env, CURL_CA_BUNDLE: ca };
  const to = join(folder, 'copy');
  await runWell('nbdcopy', [`${base}/link`, to], { env });
  assert.ok(readFileSync(to).equals(bytes));
  const info = await runWell('nbdinfo', [`${base}/disk`], { env });
  assert.match(info, /export-size: 5000001/);
  assert.equal(await runWell('nbdinfo', ['--size', `${base}/disk`], { env }), `${SIZE}\n`);
  const { status, stderr } = await run('nbdcopy', [`${base}/nothing`, to], { env });
  assert.equal(status, 1);
  assert.match(
    stderr,
    /^nbdcopy: https:\/\/localhost:\d+\/nothing: no such file \(status 404\)\n$/,
  );
});
