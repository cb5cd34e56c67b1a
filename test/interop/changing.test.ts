/** nbdfiles changes files through debugfs; e2fsck finds nothing wrong afterwards. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { constantDevice } from '../../src/block/constant.ts';
import { contiguous } from '../../src/block/data.ts';
import { BlockError } from '../../src/block/errors.ts';
import { ext } from '../../src/formats/fs/ext/ext.ts';
import { type Place, Tree } from '../../src/formats/fs/tree.ts';
import { withPrivateFolder } from '../../src/posix/temporary.ts';
import { namedFile } from '../../src/stores/file/beside.ts';
import { parseCommandLine } from '../../src/tools/cli.ts';
import { stage } from '../../src/tools/nbdfiles/changing/staged.ts';
import { loadCommand } from '../../src/tools/nbdfiles/commands.ts';
import { temporaryFolder } from '../peer/wire.ts';
import { has, runWell } from './programs.ts';

/** As the command line has it, in this process. */
async function files(name: string, ...words: readonly string[]): Promise<number> {
  const command = await loadCommand(name);
  const line = parseCommandLine<string>(command.options, words);
  return command.run({ ...line, commands: [], program: 'test' });
}

interface Disk {
  readonly folder: string;
  readonly image: string;
}

const SHADOW = 'root:*:19000:0:99999:7:::\nme:!old:19000::::::';
const PASSWD = 'root:x:0:0::/root:/bin/sh\nme:x:1000:1001::/home/me:/bin/sh\n';

async function diskOf(t: TestContext, ...options: readonly string[]): Promise<Disk | undefined> {
  if (!has(t, 'mke2fs', 'debugfs', 'e2fsck')) return undefined;
  const folder = temporaryFolder(t);
  const tree = join(folder, 'tree');
  for (const path of ['etc', 'root', 'home/me', 'usr/share/zoneinfo/Europe', 'var/log', 'many']) {
    mkdirSync(join(tree, path), { recursive: true });
  }
  const write = (path: string, text: string) => writeFileSync(join(tree, path), text);
  write('etc/passwd', PASSWD);
  write('etc/shadow', SHADOW);
  chmodSync(join(tree, 'etc/shadow'), 0o600);
  write('etc/hostname', 'old\n');
  write('etc/hosts', '127.0.0.1 localhost\n127.0.1.1 old.example old # old\n');
  write('etc/conf', 'one\ntwo');
  write('usr/share/zoneinfo/Europe/Berlin', 'TZif');
  for (const name of ['a.log', 'b.log', 'keep']) write(`var/log/${name}`, name);
  symlinkSync('/etc/conf', join(tree, 'link'));
  // A directory with an index.
  for (let index = 0; index < 300; index++) write(`many/a-long-name-for-a-file-${index}`, '');
  const image = join(folder, 'disk.img');
  const words = ['-q', '-F', '-t', 'ext4', ...options, '-d', tree, image, '24M'];
  await runWell('mke2fs', words);
  return { folder, image };
}

interface Look {
  place(path: string): Promise<Place>;
  text(path: string): Promise<string>;
}

/** What is on a disk. */
async function look(image: string): Promise<Look> {
  const fileSystem = await ext.open(constantDevice(readFileSync(image)));
  const tree = new Tree([{ path: '/', fileSystem }]);
  const place = (path: string) => tree.find(path, { follow: false });
  return {
    place,
    text: async path => {
      const content = await (await place(path)).node.open();
      return Buffer.from(contiguous(await content.read(0n, Number(content.size)))).toString();
    },
  };
}

const digestOf = (path: string) => createHash('sha256').update(readFileSync(path)).digest('hex');

for (const options of [
  ['-O', 'inline_data'],
  ['-b', '1024', '-O', '^metadata_csum,^extent,^64bit,^has_journal'],
]) {
  test(`customize ${options.join(' ')}`, async t => {
    const disk = await diskOf(t, ...options);
    if (!disk || !has(t, 'perl')) return;
    const { image, folder } = disk;
    writeFileSync(join(folder, 'key.pub'), 'ssh-ed25519 AAAA\n');
    const words = {
      hostname: 'new',
      timezone: 'Europe/Berlin',
      'root-password': 'password:secret',
      'ssh-inject': `me:file:${join(folder, 'key.pub')}`,
      'append-line': '/link:three',
      edit: '/etc/conf:s/one/1/',
      mkdir: '/a/b/c',
      write: '/a/b/c/f:hello',
      chmod: '2750:/a/b/c',
      chown: '70000:70001:/a/b/c/f',
      delete: '/var/log/*.log',
      link: '/a/b/c/f:/l1:/l2',
      move: '/etc/hosts:/a/hosts',
      upload: `${join(folder, 'key.pub')}:/many`,
      touch: '/many/new',
    };
    const given = Object.entries(words).flatMap(([name, value]) => [`--${name}`, value]);
    assert.equal(await files('customize', '-a', image, ...given, '--password', 'me:locked'), 0);
    await runWell('e2fsck', ['-fn', image]);
    const { place, text } = await look(image);
    assert.equal(await text('/etc/hostname'), 'new\n');
    assert.equal(await text('/a/hosts'), '127.0.0.1 localhost\n127.0.1.1 new.example new # old\n');
    assert.equal(await text('/etc/conf'), '1\ntwo\nthree\n');
    assert.match(
      await text('/etc/shadow'),
      /^root:\$6\$[^:]{99,}:19000:0:99999:7:::\nme:!!old:19000/,
    );
    assert.equal((await place('/etc/shadow')).node.stat.mode, 0o600);
    assert.equal(await text('/home/me/.ssh/authorized_keys'), 'ssh-ed25519 AAAA\n');
    const { uid, gid, mode } = (await place('/home/me/.ssh')).node.stat;
    assert.deepEqual([uid, gid, mode], [1000, 1001, 0o700]);
    assert.equal((await place('/a/b/c')).node.stat.mode, 0o2750);
    assert.equal((await place('/a/b/c/f')).node.stat.gid, 70001);
    assert.equal(await (await place('/l2')).node.readlink(), '/a/b/c/f');
    const zone = await (await place('/etc/localtime')).node.readlink();
    assert.equal(zone, '/usr/share/zoneinfo/Europe/Berlin');
    assert.deepEqual(
      (await (await place('/var/log')).node.list()).map(({ name }) => name),
      ['keep'],
    );
    assert.equal(await text('/many/key.pub'), 'ssh-ed25519 AAAA\n');
    await assert.rejects(place('/etc/hosts'), { errno: 'ENOENT' });
  });
}

test('copy-in of names that mean something to debugfs, and rm of them', async t => {
  const disk = await diskOf(t);
  if (!disk) return;
  const { folder, image } = disk;
  const local = join(folder, 'in');
  const odd = [
    '<5>',
    '!sh',
    '#x',
    'a "b" c',
    "it's",
    'tab\tname',
    'ümlaut',
    '-f',
    '$x',
    'back\\slash',
  ];
  mkdirSync(join(local, 'd "1"'), { recursive: true });
  for (const name of odd) writeFileSync(join(local, name), name);
  writeFileSync(Buffer.concat([Buffer.from(`${local}/byte `), Buffer.of(0xff)]), '1');
  writeFileSync(join(local, 'd "1"/inner'), '2', { mode: 0o600 });
  symlinkSync('/no where/"x"', join(local, 'l'));
  truncateSync(join(local, '$x'), 3_000_000);
  assert.equal(await files('copy-in', '-a', image, local, '/many'), 0);
  // Once more over it.
  assert.equal(await files('copy-in', '-a', image, local, '/many'), 0);
  await runWell('e2fsck', ['-fn', image]);
  const before = await look(image);
  for (const name of odd.slice(0, -2)) assert.equal(await before.text(`/many/in/${name}`), name);
  assert.equal(await before.text('/many/in/byte \udcff'), '1');
  assert.equal((await before.place('/many/in/d "1"/inner')).node.stat.mode, 0o600);
  assert.equal((await before.place('/many/in/$x')).node.stat.size, 3_000_000n);
  assert.equal(await (await before.place('/many/in/l')).node.readlink(), '/no where/"x"');
  assert.equal(await files('rm', '-a', image, '/many/in/<5>', '/many/in/d "1"', '/many/in/l'), 0);
  assert.equal(await files('rm', '-a', image, '/many'), 0);
  await runWell('e2fsck', ['-fn', image]);
  await assert.rejects((await look(image)).place('/many'), { errno: 'ENOENT' });
});

test('what fails changes nothing', async t => {
  // Hardly more inodes than there are files.
  const disk = await diskOf(t, '-N', '340');
  if (!disk) return;
  const { folder, image } = disk;
  const before = digestOf(image);
  writeFileSync(join(folder, 'new\nquit'), '');
  mkdirSync(join(folder, 'more'));
  for (let index = 0; index < 60; index++) writeFileSync(join(folder, `more/${index}`), '');
  for (const [words, message] of [
    [['copy-in', join(folder, 'new\nquit'), '/etc'], /line end/],
    [['copy-in', join(folder, 'more'), '/etc'], /debugfs: .*allocate inode/i],
    [['customize', '--hostname', 'new', '--write', '/none/x:y'], /^--write: .*no such file/],
    [['customize', '--write', '/etc:y'], /--write: \/etc: is a directory/],
    [['customize', '--password', 'nobody:disabled'], /there is no user nobody/],
    [['customize', '--hostname', 'a b'], /^--hostname: a b: expected letters/],
    [['customize', '--edit', '/etc/conf:die'], /--edit: perl: failed with status/],
    [['customize', '--timezone', '../../etc'], /no such time zone/],
    [['rm', '/'], /no name of its own/],
    [['rm', '/none'], /\/none: no such file/],
    [['chmod', '888', '/etc'], /expected permissions in octal/],
  ] as const) {
    const [name, ...rest] = words;
    await assert.rejects(files(name, '-a', image, ...rest), { message }, words.join(' '));
    assert.equal(digestOf(image), before, words.join(' '));
  }
  assert.equal(await files('customize', '-n', '-a', image, '--hostname', 'new'), 0);
  assert.equal(digestOf(image), before, '--dry-run');
});

test('what needs a guest that runs is refused', async () => {
  for (const option of ['--install', '--run', '--run-command', '--firstboot', '--uninstall']) {
    const message = `${option}: needs a running guest, and none is started here`;
    await assert.rejects(async () => files('customize', '-a', 'x', option, 'value'), { message });
  }
});

/** Writes 16 bits of the superblock. */
function patch(image: string, at: number, value: number): void {
  const fd = openSync(image, 'r+');
  writeSync(fd, Buffer.of(value & 255, value >> 8), 0, 2, 1024 + at);
  closeSync(fd);
}

test('a file system that was not unmounted, or is of another kind', async t => {
  const disk = await diskOf(t, '-O', '^metadata_csum');
  if (!disk) return;
  const { folder, image } = disk;
  patch(image, 58, 0);
  await assert.rejects(files('rm', '-a', image, '/etc'), { errno: 'EBUSY', message: /unmounted/ });
  patch(image, 58, 1);
  patch(image, 96, 0x2c6);
  await assert.rejects(files('rm', '-a', image, '/etc'), { message: /journal/ });
  if (!has(t, 'mkfs.fat')) return;
  const fat = join(folder, 'fat');
  writeFileSync(fat, '');
  truncateSync(fat, 4 << 20);
  await runWell('mkfs.fat', [fat]);
  await assert.rejects(files('write', '-a', fat), { message: /which file/ });
  await assert.rejects(files('customize', '-a', fat, '--write', '/x:y'), {
    message: /vfat is not changed here/,
  });
});

test('where nothing can be mounted a copy is changed', async t => {
  const disk = await diskOf(t);
  if (!disk) return;
  const { device } = namedFile(disk.image, false);
  const refusing = async () => {
    throw new BlockError('EPERM', 'not here');
  };
  await withPrivateFolder(join(disk.folder, 'private-'), async folder => {
    const staged = await stage(device, folder, refusing);
    await runWell('debugfs', ['-w', '-R', 'rm /etc/conf', staged.path]);
    await (await look(disk.image)).place('/etc/conf');
    await staged.commit();
    await staged.close();
  });
  await device.close?.();
  await assert.rejects((await look(disk.image)).place('/etc/conf'), { errno: 'ENOENT' });
  await runWell('e2fsck', ['-fn', disk.image]);
});
