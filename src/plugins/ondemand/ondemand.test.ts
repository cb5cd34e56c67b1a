import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { openPlugin, pluginSource, REQUEST } from '../../../test/contract/open.ts';
import { contiguous } from '../../block/data.ts';
import type { BlockDevice, DeviceSource } from '../../block/device.ts';
import { BlockError, UsageError } from '../../block/errors.ts';
import { findProgram } from '../../posix/program.ts';

const linux = process.platform === 'linux' ? false : 'needs linux';
const root = fs.mkdtempSync(join(tmpdir(), 'nbdpipe-ondemand-'));
after(() => fs.rmSync(root, { recursive: true }));

const BLANK = 'command=truncate -s $size "$disk"';

function folder(name: string): string {
  const path = join(root, name);
  fs.mkdirSync(path);
  return path;
}

async function open(source: DeviceSource, exportName: string, readOnly = false) {
  return await source.open({ ...REQUEST, exportName, readOnly });
}

async function text(device: BlockDevice, length: number): Promise<string> {
  return Buffer.from(contiguous(await device.read(0n, length))).toString();
}

function isError(errno: string, message: RegExp) {
  return (error: unknown) =>
    error instanceof BlockError && error.errno === errno && message.test(error.message);
}

test('a file system is made when its name is first used, and kept', async t => {
  if (!findProgram('mkfs.ext4')) return t.skip('needs mkfs.ext4');
  const dir = folder('kept');
  const source = await pluginSource('ondemand', `dir=${dir}`, '4M', 'label=kept');
  const device = await open(source, 'one');
  const superblock = contiguous(await device.read(1024n, 1024)) as Buffer;
  assert.equal(superblock.toString('latin1', 120, 125), 'kept\0');
  await device.write!(0n, Buffer.from('mine'));
  await device.close!();
  const again = await open(source, 'one');
  assert.equal(await text(again, 4), 'mine');
  assert.equal(again.size, 4n << 20n);
  await again.close!();
  assert.deepEqual(fs.readdirSync(dir), ['one']);
});

test('names, the default export and the list', async () => {
  const dir = folder('names');
  fs.mkdirSync(join(dir, 'folder'));
  fs.symlinkSync('nowhere', join(dir, 'dangling'));
  fs.writeFileSync(join(dir, '.hidden'), '');
  const source = await pluginSource('ondemand', `dir=${dir}`, '1M', BLANK);
  assert.equal(await source.defaultExport!(REQUEST), 'default');
  for (const name of ['', 'a.b', 'a:b', '-x', 'ü', "it's $(touch x)"]) {
    await (await open(source, name)).close!();
  }
  const names = (await source.list!(REQUEST))!.map(({ name }) => name);
  assert.deepEqual(names, ['', '-x', 'a.b', 'a:b', "it's $(touch x)", 'ü']);
  const bad = [
    '.',
    '..',
    '.hidden',
    'a/b',
    '/etc/passwd',
    'a\0b',
    'x'.repeat(256),
    'ü'.repeat(128),
  ];
  for (const name of [...bad, 'folder', 'dangling']) {
    await assert.rejects(() => open(source, name), isError('ENOENT', /./), JSON.stringify(name));
  }
});

test('a disk in use is refused until its client has gone', { skip: linux }, async () => {
  const source = await pluginSource('ondemand', `dir=${folder('busy')}`, '1M', BLANK);
  const first = await open(source, 'disk');
  assert.equal(first.multiConn, false);
  await assert.rejects(
    () => open(source, 'disk'),
    isError('EBUSY', /^'disk': filesystem is locked by another client/),
  );
  await assert.rejects(() => open(source, 'disk', true), isError('EBUSY', /locked/));
  await (await open(source, 'other')).close!();
  await first.close!();
  await (await open(source, 'disk')).close!();
});

test('clients that only read do not exclude each other', { skip: linux }, async () => {
  const source = await pluginSource('ondemand', `dir=${folder('readers')}`, '1M', BLANK);
  const readers = [await open(source, 'disk', true), await open(source, 'disk', true)];
  assert.deepEqual([readers[0]!.write, readers[0]!.multiConn], [undefined, true]);
  await assert.rejects(() => open(source, 'disk'), isError('EBUSY', /locked/));
  for (const reader of readers) await reader.close!();
});

test('wait=true waits for the disk', { skip: linux }, async () => {
  const words = [`dir=${folder('wait')}`, '1M', BLANK, 'wait=true'];
  const source = await pluginSource('ondemand', ...words);
  const first = await open(source, 'disk');
  let opened = false;
  const second = open(source, 'disk').then(device => {
    opened = true;
    return device;
  });
  await new Promise(resolve => setTimeout(resolve, 120));
  assert.equal(opened, false);
  await first.close!();
  await (await second).close!();
});

test('share=true gives one disk to several clients', async () => {
  const words = [`dir=${folder('share')}`, '1M', BLANK, 'share=true'];
  const source = await pluginSource('ondemand', ...words);
  const clients = await Promise.all([open(source, 'disk'), open(source, 'disk')]);
  assert.equal(clients[0]!.multiConn, true);
  await clients[0]!.write!(0n, Buffer.from('seen'));
  assert.equal(await text(clients[1]!, 4), 'seen');
  for (const client of clients) await client.close!();
});

test('other servers of the directory are excluded too', { skip: linux }, async t => {
  const nbdkit = ['/usr/bin/nbdkit', '/usr/sbin/nbdkit'].find(path => fs.existsSync(path));
  const info = ['/usr/bin/nbdinfo'].find(path => fs.existsSync(path));
  if (!nbdkit || !info) return t.skip('needs C nbdkit and nbdinfo');
  const dir = folder('servers');
  const socket = join(root, 'servers.socket');
  const words = ['-f', '-U', socket, 'ondemand', `dir=${dir}`, '1M', BLANK];
  const server = spawn(nbdkit, words, { stdio: 'ignore' });
  t.after(() => server.kill());
  while (!fs.existsSync(socket) && server.exitCode === null)
    await new Promise(resolve => setTimeout(resolve, 10));
  const ask = () => spawn(info, ['--size', `nbd+unix:///disk?socket=${socket}`]);
  const source = await pluginSource('ondemand', `dir=${dir}`, '1M', BLANK);
  const device = await open(source, 'disk');
  assert.equal(await statusOf(ask()), 1);
  await device.close!();
  assert.equal(await statusOf(ask()), 0);
});

async function statusOf(child: ChildProcess): Promise<number | null> {
  const [status] = await once(child, 'close');
  return status;
}

test('clients that ask for a new disk at once get one, made once', async () => {
  const dir = folder('once');
  const command = `command=echo >>${join(root, 'made')}; sleep 0.1; truncate -s $size "$disk"`;
  const source = await pluginSource('ondemand', `dir=${dir}`, '1M', command, 'share=true');
  const clients = await Promise.all([1, 2, 3].map(() => open(source, 'disk')));
  for (const client of clients) await client.close!();
  assert.equal(fs.readFileSync(join(root, 'made'), 'utf8'), '\n');
});

test('what is made elsewhere meanwhile is served, and not overwritten', async () => {
  const dir = folder('quicker');
  const command = `command=echo theirs >${join(dir, 'disk')}; echo ours >"$disk"`;
  const device = await open(await pluginSource('ondemand', `dir=${dir}`, '0', command), 'disk');
  assert.equal(await text(device, 6), 'theirs');
  await device.close!();
});

test('a failure leaves nothing and may be repaired', async () => {
  const dir = folder('failing');
  const command = `command=echo half >"$disk"; [ -e ${root}/repaired ] || { echo why >&2; exit 3; }`;
  const source = await pluginSource('ondemand', `dir=${dir}`, '1M', command);
  const message = /^command: failed with status 3: why$/;
  await assert.rejects(() => open(source, 'disk'), isError('EIO', message));
  assert.deepEqual(fs.readdirSync(dir), []);
  fs.writeFileSync(join(root, 'repaired'), '');
  await (await open(source, 'disk')).close!();
});

test('bad parameters', async () => {
  fs.writeFileSync(join(root, 'file'), '');
  const bad: [string[], RegExp][] = [
    [['1M'], /^dir: must be given/],
    [[`dir=${root}`], /^size: must be given/],
    [['1M', `dir=${root}/file`], /^dir: .*expected a directory/],
    [['1M', `dir=${root}/missing`], /^dir: .*no such file/],
    [['1M', `dir=${root}`, 'wait=maybe'], /^wait: /],
    [['1M', `dir=${root}`, 'nonsense=1'], /^unknown parameter/],
  ];
  for (const [words, message] of bad) {
    await assert.rejects(
      () => openPlugin('ondemand', ...words),
      error => error instanceof UsageError && message.test(error.message),
      words.join(' '),
    );
  }
});
