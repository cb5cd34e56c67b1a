import assert from 'node:assert/strict';
import { createHmac, randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { pluginSource } from '../../../test/contract/open.ts';
import { temporaryFolder } from '../../../test/peer/wire.ts';
import { expand, readConfig } from './config.ts';
import { KnownHosts } from './known-hosts.ts';

/** A key as it is sent, and as it stands in files. */
function key(type = 'ssh-ed25519'): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(type.length);
  return Buffer.concat([length, Buffer.from(type), randomBytes(32)]);
}

function fileOf(t: TestContext, ...lines: string[]): string {
  const path = join(temporaryFolder(t), 'file');
  writeFileSync(path, `${lines.join('\n')}\n`);
  return path;
}

describe('known hosts', () => {
  const salt = randomBytes(20);
  const hashed = (name: string) =>
    `|1|${salt.toString('base64')}|${createHmac('sha1', salt).update(name).digest('base64')}`;
  const names: readonly [line: string, host: string, port: number, known: boolean][] = [
    ['a.example', 'a.example', 22, true],
    ['a.example', 'A.Example', 22, true],
    ['a.example', 'a.example', 23, false],
    ['a.example', 'axexample', 22, false],
    ['[a.example]:23', 'a.example', 23, true],
    ['[a.example]:23', 'a.example', 22, false],
    ['b,*.example,1.2.3.?', 'x.y.example', 22, true],
    ['b,*.example,1.2.3.?', '1.2.3.4', 22, true],
    ['b,*.example,1.2.3.?', '1.2.3.44', 22, false],
    ['*.example,!a.example', 'a.example', 22, false],
    [hashed('a.example'), 'a.example', 22, true],
    [hashed('[a.example]:23'), 'a.example', 23, true],
    [hashed('a.example'), 'b.example', 22, false],
    ['d.w', 'd.w', 22, true],
  ];
  for (const [line, host, port, known] of names) {
    test(`${line.slice(0, 30)}: ${host} ${port}`, t => {
      const own = key();
      const path = fileOf(t, '# a comment', '', `${line} ssh-ed25519 ${own.toString('base64')} me`);
      const hosts = new KnownHosts(['/nonexistent', path], host, port);
      if (known) hosts.check(own);
      else assert.throws(() => hosts.check(own), { errno: 'EACCES', message: /is not known/ });
    });
  }

  test('other keys, and those that were revoked', t => {
    const [old, revoked, rsa] = [key(), key(), key('ssh-rsa')];
    const path = fileOf(
      t,
      `a ssh-ed25519 ${old.toString('base64')}`,
      `@revoked * ssh-ed25519 ${revoked.toString('base64')}`,
      `@cert-authority * ssh-ed25519 ${old.toString('base64')}`,
    );
    const hosts = new KnownHosts([path], 'a', 22);
    hosts.check(old);
    assert.throws(() => hosts.check(key()), /has another ssh-ed25519 key than the one in/);
    assert.throws(() => hosts.check(revoked), /has a key that was revoked/);
    assert.throws(() => hosts.check(rsa), /is not known: its ssh-rsa key/);
    assert.deepEqual(hosts.types, ['ssh-ed25519']);
  });
});

test('the configuration of ssh', t => {
  const path = fileOf(
    t,
    'User first',
    'Host other',
    '  Port 1',
    'Host a* !ab',
    '  Port = 2',
    '  IdentityFile "~/a key"',
    'Match exec "true"',
    '  Port 3',
    'Match all',
    '  IdentityFile %d/b',
  );
  const config = readConfig([path, '/nonexistent'], 'aa');
  assert.deepEqual(Object.fromEntries(config), {
    user: ['first'],
    port: ['2'],
    identityfile: ['~/a key', '%d/b'],
  });
  assert.equal(readConfig([path], 'ab').get('port'), undefined);
  const about = {
    home: '/home/me',
    localUser: 'me',
    localHost: 'here',
    host: 'h',
    user: 'u',
    port: 22,
  };
  assert.equal(expand('~/%u-%l-%h-%r-%p-%%-%x', about), '/home/me/me-here-h-u-22-%-%x');
  assert.equal(expand('%d/b', about), '/home/me/.ssh/b');
});

describe('what is refused', () => {
  const refused: readonly [words: string[], why: RegExp][] = [
    [['path'], /^host: must be given/],
    [['host=a'], /^path: must be given/],
    [['host=a', 'path=x', 'port=0'], /^port: '0'/],
    [['host=a', 'path=x', 'create=1'], /^create: needs create-size/],
    [['host=a', 'path=x', 'create=1', 'create-size=1', 'create-mode=010000'], /^create-mode/],
  ];
  for (const [words, why] of refused) {
    test(words.join(' '), () =>
      assert.rejects(pluginSource('ssh', 'config=', ...words), {
        name: 'UsageError',
        message: why,
      }),
    );
  }

  test('a host behind another one', async t => {
    const path = fileOf(t, 'Host a', '  ProxyJump b');
    const words = ['host=a', 'path=x', `config=${path}`];
    await assert.rejects(pluginSource('ssh', ...words), /^UsageError: config: .*by way of 'b'/);
  });
});
