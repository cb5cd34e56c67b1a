import assert from 'node:assert/strict';
import { test } from 'node:test';
import { UsageError } from '../block/errors.ts';
import {
  beyondLimits,
  formatNbdUri,
  isNbdUri,
  type NbdUri,
  parseNbdUri,
  type UriLimits,
} from './uri.ts';

const tcp = (host: string, exportName = '', port = 10809) => ({
  address: { host, port },
  exportName,
  tls: false,
});

const unix = (path: string, exportName = '') => ({ address: { path }, exportName, tls: false });

/** What a URI says, without the TLS options that it leaves out. */
function parsed(text: string): object {
  const { tlsOptions, ...rest } = parseNbdUri(text);
  const given = Object.entries(tlsOptions).filter(([, value]) => value !== undefined);
  return given.length === 0 ? rest : { ...rest, tlsOptions: Object.fromEntries(given) };
}

const UNDERSTOOD: readonly [uri: string, meaning: object, printed: string][] = [
  ['nbd://example.com', tcp('example.com'), 'nbd://example.com:10809/'],
  ['nbd://example.com/', tcp('example.com'), 'nbd://example.com:10809/'],
  ['nbd://example.com/disk', tcp('example.com', 'disk'), 'nbd://example.com:10809/disk'],
  ['nbd://example.com//disk', tcp('example.com', '/disk'), 'nbd://example.com:10809//disk'],
  [
    'nbd://example.com/hello%20world',
    tcp('example.com', 'hello world'),
    'nbd://example.com:10809/hello%20world',
  ],
  ['nbd://example.com/a+b', tcp('example.com', 'a+b'), 'nbd://example.com:10809/a+b'],
  ['nbd://h/%C3%BC%2F%3F%23', tcp('h', 'ü/?#'), 'nbd://h:10809/%C3%BC/%3F%23'],
  ['nbd://', tcp('localhost'), 'nbd://localhost:10809/'],
  ['nbd:///x', tcp('localhost', 'x'), 'nbd://localhost:10809/x'],
  ['nbd://:10777/', tcp('localhost', '', 10777), 'nbd://localhost:10777/'],
  ['NBD://Host:1', tcp('Host', '', 1), 'nbd://Host:1/'],
  ['nbd://127.0.0.1:65535/', tcp('127.0.0.1', '', 65535), 'nbd://127.0.0.1:65535/'],
  ['nbd://[::1]:10777/x', tcp('::1', 'x', 10777), 'nbd://[::1]:10777/x'],
  ['nbd://[fe80::1%25eth0]', tcp('fe80::1%eth0'), 'nbd://[fe80::1%25eth0]:10809/'],
  ['nbd+unix:///?socket=nbd.sock', unix('nbd.sock'), 'nbd+unix:///?socket=nbd.sock'],
  ['nbd+unix://?socket=/tmp/s', unix('/tmp/s'), 'nbd+unix:///?socket=/tmp/s'],
  ['nbd+unix:///disk?socket=/s', unix('/s', 'disk'), 'nbd+unix:///disk?socket=/s'],
  [
    'nbd+unix:///?socket=/a%20b%26%3D%3B%2B%23%25',
    unix('/a b&=;+#%'),
    'nbd+unix:///?socket=/a%20b%26%3D%3B%2B%23%25',
  ],
  ['nbd+unix:///?socket=%00/abstract', unix('\0/abstract'), 'nbd+unix:///?socket=%00/abstract'],
  ['nbd+unix:///?x-mine=1&socket=/s&', unix('/s'), 'nbd+unix:///?socket=/s'],
  [
    'nbd+vsock:///x',
    { address: { cid: 2, port: 10809 }, exportName: 'x', tls: false },
    'nbd+vsock://2:10809/x',
  ],
  [
    'nbds+vsock://7:4294967295',
    { address: { cid: 7, port: 2 ** 32 - 1 }, exportName: '', tls: true },
    'nbds+vsock://7:4294967295/',
  ],
  [
    'nbds://al%40ice@h/?tls-type=x509&tls-hostname=n&tls-verify-peer=0&tls-certificates=/c%20d',
    {
      ...tcp('h'),
      tls: true,
      tlsOptions: {
        username: 'al@ice',
        type: 'x509',
        hostname: 'n',
        verifyPeer: false,
        certificates: '/c d',
      },
    },
    'nbds://al%40ice@h:10809/?tls-type=x509&tls-hostname=n&tls-verify-peer=0' +
      '&tls-certificates=/c%20d',
  ],
  [
    'nbds+unix://bob@/?socket=/s&tls-psk-file=/k',
    { ...unix('/s'), tls: true, tlsOptions: { username: 'bob', pskFile: '/k' } },
    'nbds+unix://bob@/?socket=/s&tls-psk-file=/k',
  ],
];

test('URIs say what the document says, and are printed in one form', () => {
  for (const [uri, meaning, printed] of UNDERSTOOD) {
    assert.deepEqual(parsed(uri), meaning, uri);
    assert.equal(formatNbdUri(parseNbdUri(uri)), printed);
    assert.deepEqual(parsed(printed), meaning, printed);
  }
});

test('ssh leads to a port or a socket of another machine', () => {
  const address = (uri: string) => parseNbdUri(uri).address;
  assert.deepEqual(address('nbd+ssh://host/x'), {
    ssh: 'host',
    sshPort: undefined,
    user: undefined,
    there: { port: 10809 },
  });
  const full = 'nbds+ssh://al@[fe80::1]:22/x?socket=/a%20b&tls-username=bob';
  assert.deepEqual(address(full), {
    ssh: 'fe80::1',
    sshPort: 22,
    user: 'al',
    there: { path: '/a b' },
  });
  assert.equal(parseNbdUri(full).tlsOptions.username, 'bob');
  for (const uri of [full, 'nbd+ssh://host/', 'nbd+ssh://h:2/?nbd-port=3']) {
    assert.equal(formatNbdUri(parseNbdUri(uri)), uri);
  }
});

test('limits for URIs of strangers', () => {
  const refused = (uri: string, limits: UriLimits) => beyondLimits(parseNbdUri(uri), limits);
  const unix = 'nbd+unix:///?socket=/s';
  assert.equal(refused(unix, {}), undefined);
  assert.match(refused(unix, { transports: ['tcp'] })!, /reaches a server by unix/);
  assert.match(refused('nbd+ssh://h', { transports: ['tcp'] })!, /by ssh/);
  assert.equal(refused('nbd://h', { transports: ['tcp'], tls: 'refuse' }), undefined);
  assert.match(refused('nbds://h', { tls: 'refuse' })!, /TLS, which is not allowed/);
  assert.match(refused('nbd://h', { tls: 'require' })!, /not ask for TLS/);
  for (const file of ['tls-psk-file=/etc/shadow', 'tls-certificates=/etc']) {
    assert.match(refused(`nbds://h/?${file}`, { localFiles: false })!, /names a local file/);
    assert.equal(refused(`nbds://h/?${file}`, { tls: 'require' }), undefined);
  }
});

test('tls-username stands before the user of the authority', () => {
  const { tlsOptions } = parseNbdUri('nbds://alice@h/?tls-username=bob');
  assert.equal(tlsOptions.username, 'bob');
});

const REFUSED: readonly [uri: string, why: RegExp][] = [
  ['', /not an NBD URI/],
  ['disk.img', /not an NBD URI/],
  ['http://x', /unknown scheme 'http'/],
  ['nbd+foo://x', /unknown scheme 'nbd\+foo'/],
  ['nbd:localhost:10809', /must begin with 'nbd:\/\/'/],
  ['nbd+unix:?socket=/s', /must begin with 'nbd\+unix:\/\/'/],
  ['nbd+ssh:///x', /the host is missing: expected nbd\+ssh:\/\/HOST/],
  ['nbd+ssh://-oProxyCommand=touch$IFS/tmp/x/', /host: must not begin with '-'/],
  ['nbd+ssh://%2doProxyCommand/', /host: must not begin with '-'/],
  ['nbd+ssh://-l@host/', /user name: must not begin with '-'/],
  ['nbd+ssh://a%20b/', /host: must have no spaces/],
  ['nbd+ssh://a%0ab@host/', /user name: must have no spaces/],
  ['nbd+ssh://h/?socket=-U', /socket: cannot use '-U': expected an absolute path/],
  ['nbd+ssh://h/?socket=/s&nbd-port=1', /either 'socket' or 'nbd-port'/],
  ['nbd+ssh://h/?nbd-port=0', /nbd-port: cannot parse '0'/],
  ['nbd://h/?nbd-port=1', /needs nbd\+ssh/],
  ['nbd+unix:///', /'socket' is missing: expected nbd\+unix:\/\/\/EXPORT\?socket=PATH/],
  ['nbds+unix:///?socket=', /'socket' is missing: expected nbds\+unix:/],
  [
    'nbd+unix:///?SOCKET=/s',
    /unknown parameter 'SOCKET': expected one of socket, nbd-port, tls-type/,
  ],
  ['nbd+unix:///?socket=/a%00b', /no NUL/],
  ['nbd://h/?socket=/s', /needs the scheme nbd\+unix/],
  ['nbd://h/?foo=1', /unknown parameter 'foo'/],
  ['nbd+unix:///?socket=/a&socket=/b', /'socket': given more than once/],
  ['nbd://h:0', /port: cannot parse '0': expected a whole number from 1 to 65535/],
  ['nbd://h:65536', /port: cannot parse '65536'/],
  ['nbd://h:99999999999999999999', /port: cannot parse/],
  ['nbd://h:', /cannot parse 'h:'/],
  ['nbd://h:abc', /cannot parse 'h:abc'/],
  ['nbd://::1:10809', /cannot parse '::1:10809': expected HOST, HOST:PORT or \[IPv6\]/],
  ['nbd://[::1', /cannot parse '\[::1'/],
  ['nbd://a@b@c', /cannot parse 'a@b@c'/],
  ['nbd+vsock://host', /CID: cannot parse 'host'/],
  ['nbd+vsock://4294967296', /CID: cannot parse/],
  ['nbd://h/a b', /' ' is not allowed in a URI: write it as %20/],
  ['nbd://h/ü', /'ü' is not allowed in a URI: write it as %C3%BC/],
  ['nbd://h/a\nb', /'\\u000a' is not allowed in a URI: write it as %0A/],
  ['nbd://h/\ud800', /is not allowed in a URI: write it as %EF%BF%BD/],
  ['nbd://h/a%zz', /'%' must be followed by two hexadecimal digits/],
  ['nbd://h/%ff', /export name: '%ff' does not decode to UTF-8/],
  ['nbd://h/a%00b', /export name: must not contain NUL/],
  [`nbd://h/${'x'.repeat(4097)}`, /export name: longer than 4096 bytes/],
  ['nbd://h/x#y', /no '#' part/],
  ['nbd://h/?tls-type=foo', /tls-type: unknown value 'foo': expected anon, x509 or psk/],
  ['nbd://h/?tls-verify-peer=2', /tls-verify-peer: unknown value '2': expected 0 or 1/],
];

test('bad URIs are refused in one line', () => {
  for (const [uri, why] of REFUSED) {
    assert.throws(
      () => parseNbdUri(uri),
      (error: unknown) => {
        assert.ok(error instanceof UsageError, uri);
        assert.match(error.message, why);
        assert.doesNotMatch(error.message, /[\n\r\0]/);
        assert.ok(error.message.length < 500);
        return true;
      },
      uri,
    );
  }
});

test('any export name, socket and user survive printing and parsing', () => {
  const ascii = Array.from({ length: 127 }, (_, code) => String.fromCharCode(code + 1)).join('');
  for (const exportName of ['', '/', '//', ascii, 'ü€😀', '%41', '?socket=/x', 'a;b&c=d']) {
    const tlsOptions = {
      type: undefined,
      hostname: undefined,
      verifyPeer: undefined,
      certificates: undefined,
      pskFile: undefined,
      username: ascii,
    };
    const uri: NbdUri = { address: { path: `/${ascii}` }, tls: true, exportName, tlsOptions };
    assert.deepEqual(parseNbdUri(formatNbdUri(uri)), uri);
  }
});

test('a URI is told from a file by its scheme', () => {
  for (const uri of ['nbd://x', 'nbds+unix:///', 'nbd+vsock:', 'nbd:localhost', 'nbd+ssh://']) {
    assert.equal(isNbdUri(uri), true, uri);
  }
  for (const file of ['nbd', './nbd:', 'nbd.img', '-', 'null:', 'nbdx:', '/nbd://']) {
    assert.equal(isNbdUri(file), false, file);
  }
});
