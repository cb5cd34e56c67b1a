import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, realpathSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { temporaryFolder } from '../../../test/peer/wire.ts';
import { definePlugin, sourceOf } from '../../declare/declare.ts';
import { serve } from '../../server/server.ts';
import { sparseStore } from '../../stores/sparse.ts';
import { parseCommandLine } from '../cli.ts';
import { originOf } from '../modes.ts';
import { openDisks } from './disks.ts';
import { fuseHelp, fuseWishes } from './fuse-options.ts';
import { mountPoint } from './mount-point.ts';
import { OPTIONS, readSettings } from './options.ts';

const settingsOf = (...argv: string[]) => readSettings(parseCommandLine(OPTIONS, argv).given);
const { signal } = new AbortController();

describe('options', () => {
  test('come first: what follows the mount point is not theirs', () => {
    const argv = ['-r', '-C', '2', 'dir', '--command', 'nbdkit', '-s', 'memory', '1G'];
    const { given, words } = parseCommandLine(OPTIONS, argv, { optionsFirst: true });
    assert.deepEqual(words, argv.slice(3));
    const { connecting, readOnly, single } = readSettings(given);
    assert.deepEqual([connecting.connections, readOnly, single], [2, true, false]);
  });

  test('numbers', () => {
    for (const word of ['0', '-1', 'x', '1025', '1.5']) {
      assert.throws(() => settingsOf(`--connections=${word}`), /--connections: cannot parse/);
    }
    assert.throws(() => settingsOf('--retries=x'), /--retries: cannot parse 'x'/);
  });

  test('of FUSE', () => {
    const wishes = fuseWishes(['allow_other,kernel_cache', 'uid=5,umask=077,max_read=4096']);
    assert.deepEqual(wishes.kernel, ['allow_other', 'max_read=4096']);
    assert.deepEqual([wishes.keepCache, wishes.uid, wishes.umask], [true, 5, 0o77]);
    assert.deepEqual(fuseWishes(['allow_root']).kernel, ['allow_other']);
    assert.equal(fuseWishes(['allow_root']).allowRoot, true);
    assert.equal(settingsOf('-o', 'ro').readOnly, true);
    assert.throws(() => fuseWishes(['kernel_cach']), /did you mean 'kernel_cache'\?/);
    assert.throws(() => fuseWishes(['uid=root']), /-o: uid: cannot parse 'root'/);
    assert.throws(() => fuseWishes(['uid']), /'uid' needs a value/);
    assert.throws(() => fuseWishes(['ro=1']), /'ro' takes no value/);
    assert.throws(() => fuseWishes(['umask=9']), /umask/);
    assert.match(fuseHelp(), /-o umask=M +permissions/);
  });
});

test('where to mount', t => {
  const folder = realpathSync(temporaryFolder(t));
  const path = (name: string) => join(folder, name);
  writeFileSync(path('file'), '');
  mkdirSync(path('dir'));
  symlinkSync('file', path('link'));
  symlinkSync('nothing', path('broken'));
  assert.deepEqual(mountPoint(path('file')), { path: path('file'), over: 'file', name: 'file' });
  assert.deepEqual(mountPoint(path('link')), { path: path('file'), over: 'file', name: 'link' });
  assert.deepEqual(mountPoint(path('dir')), { path: path('dir'), over: 'folder', name: 'nbd' });
  assert.deepEqual(mountPoint(path('dir/x')), { path: path('dir'), over: 'folder', name: 'x' });
  assert.throws(() => mountPoint(path('broken')), /is a symbolic link to nothing/);
  for (const missing of ['missing', path('a/b'), path('a/'), path('file/x')]) {
    assert.throws(() => mountPoint(missing), /is not there: expected a file, a folder/);
  }
  assert.throws(() => mountPoint('/dev/null'), /is neither a file nor a folder/);
  assert.throws(() => mountPoint(path('file'), true), /is no folder/);
  assert.throws(() => mountPoint(path(`dir/${'x'.repeat(256)}`)), /name too long/);
});

describe('what is shown', () => {
  const point = { path: '/nowhere', over: 'folder', name: 'nbd' } as const;
  const sizes = async (words: string[], ...options: string[]) => {
    const origin = await originOf(words, { signal });
    try {
      const disks = await openDisks(origin, point, settingsOf(...options), signal);
      const found = disks.map(({ name, device }) => [name, device.size]);
      for (const { device } of disks) await device.close?.();
      return found;
    } finally {
      await origin.close();
    }
  };

  test('words that name nothing', async () => {
    const wrong: [string[], RegExp][] = [
      [[], /expected an NBD-URI or another disk/],
      [['--nbd', 'x'], /unknown mode '--nbd'/],
      [['--unix'], /--unix: expected 1, found 0 words/],
      [['--tcp', 'localhost'], /--tcp: expected 2, found 1 word/],
      [['--tcp', 'localhost', '65536'], /cannot parse '65536'/],
      [['--vsock', '2', 'x'], /--vsock: cannot parse 'x'/],
      [['--fd', 'x'], /--fd: cannot parse 'x'/],
      [['--fd', '987654'], /--fd 987654: is no socket/],
      [['--command'], /what to run is missing/],
      [['[', 'nbdkit'], /without '\]'/],
      [['[', 'true', ']', 'x'], /expected nothing after \]/],
      [['nbd://a', 'nbd://b'], /expected 1, found 2/],
      [['--plugin', 'memry'], /did you mean 'memory'/],
      [['--plugin', '--filter=ofset', 'memory'], /unknown filter 'ofset'/],
      [['--plugin', '--filter'], /its name is missing/],
      [['--plugin', 'memory', 'sise=1'], /sise/],
      [['--command', '/nonexistent'], /cannot run \/nonexistent/],
    ];
    for (const [words, message] of wrong) {
      await assert.rejects(originOf(words, { signal }), message, words.join(' '));
    }
  });

  test('what cannot be opened, by its name', async () => {
    await assert.rejects(sizes(['/nonexistent/x.img']), /'\/nonexistent\/x.img': no such file/);
    await assert.rejects(sizes(['--unix', '/nonexistent/s']), /nonexistent/);
    await assert.rejects(sizes(['[', 'false', ']']), /ended with status 1/);
    await assert.rejects(sizes([import.meta.filename], '--all-exports'), /one disk only/);
  });

  test('a file, a plugin, a server in all modes', async t => {
    const folder = temporaryFolder(t);
    const file = join(folder, 'disk.img');
    writeFileSync(file, Buffer.alloc(4096));
    const socket = join(folder, 'socket');
    const server = await serve(sparseStore(8192n), { listen: { path: socket } });
    t.after(() => server.close());
    const tcp = await serve(sparseStore(512n), { listen: { host: '127.0.0.1', port: 0 } });
    t.after(() => tcp.close());
    const port = new URL(tcp.uri!).port;
    assert.deepEqual(await sizes([file]), [['nbd', 4096n]]);
    assert.deepEqual(await sizes(['--plugin', 'memory', '1M']), [['nbd', 1048576n]]);
    const stack = ['--filter', 'truncate', '--filter=offset', 'memory', '1M'];
    const words = ['--plugin', ...stack, 'offset=512', 'truncate=4096'];
    assert.deepEqual(await sizes(words), [['nbd', 4096n]]);
    assert.deepEqual(await sizes(['--unix', socket]), [['nbd', 8192n]]);
    assert.deepEqual(await sizes(['--uri', server.uri!]), [['nbd', 8192n]]);
    assert.deepEqual(await sizes([server.uri!], '-C', '3'), [['nbd', 8192n]]);
    assert.deepEqual(await sizes(['--tcp', '127.0.0.1', port]), [['nbd', 512n]]);
  });

  test('all exports of a server, under names that files can have', async t => {
    const names = ['', 'a', 'b/c', '..', '50%', 'line\n'];
    const source = sourceOf(({ exportName }) => {
      return sparseStore(BigInt(512 * (1 + names.indexOf(exportName))));
    });
    const listing = { ...source, list: () => names.map(name => ({ name })) };
    const path = join(temporaryFolder(t), 'socket');
    const server = await serve(listing, { listen: { path } });
    t.after(() => server.close());
    const expected = ['nbd', 'a', 'b%2Fc', '%2E%2E', '50%25', 'line%0A'];
    assert.deepEqual(
      await sizes([server.uri!], '--all-exports'),
      expected.map((name, index) => [name, BigInt(512 * (index + 1))]),
    );
    const long = definePlugin({
      name: 'long',
      description: 'an export with a long name',
      parameters: {},
      create: () => ({ ...source, list: () => [{ name: 'x'.repeat(300) }] }),
    });
    const other = await serve(long.create({}, {} as never) as never, {
      listen: { path: `${path}2` },
    });
    t.after(() => other.close());
    await assert.rejects(sizes([other.uri!], '--all-exports'), /too long for a file/);
  });
});

test('the manual names every option', () => {
  const page = readFileSync(join(import.meta.dirname, 'nbdfuse.md'), 'utf8');
  for (const { names } of Object.values(OPTIONS)) {
    const [name] = names.filter(word => word.length > 1);
    if (name && !['man', 'completion', 'long-options', 'short-options'].includes(name)) {
      assert.ok(page.includes(`--${name}`), name);
    }
  }
});
