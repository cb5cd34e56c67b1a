/** nbdfiles on a disk with partitions, against the programs of the system. */
import assert from 'node:assert/strict';
import {
  mkdirSync,
  openSync,
  readFileSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join, resolve } from 'node:path';
import { type TestContext, test } from 'node:test';
import { gptTables, LINUX_FILESYSTEM } from '../../src/formats/partition-table/gpt.ts';
import { sendPart, webServer } from '../peer/web-server.ts';
import { temporaryFolder } from '../peer/wire.ts';
import { has, type Outcome, run, runWell } from './programs.ts';

const PROGRAM = resolve(import.meta.dirname, '../../dist/nbdfiles.cjs');
const GUID = '0FC63DAF-8483-4772-8E79-3D69D8477DE5';
const MIB = 1 << 20;
const SIZE = 16 * MIB;

const files = (...words: readonly string[]): Promise<Outcome> =>
  run(process.execPath, [PROGRAM, ...words], { env: { TZ: 'UTC' } });

async function printed(...words: readonly string[]): Promise<string> {
  const { status, stdout, stderr } = await files(...words);
  assert.equal(stderr, '');
  assert.equal(status, 0);
  return stdout;
}

interface Disk {
  readonly folder: string;
  readonly tree: string;
  readonly image: string;
}

/** A GPT with a root file system and one that is mounted at /home. */
async function diskOf(t: TestContext, hostname = 'box'): Promise<Disk | undefined> {
  if (!has(t, 'mke2fs')) return undefined;
  const folder = temporaryFolder(t);
  const tree = join(folder, 'tree');
  mkdirSync(join(tree, 'etc'), { recursive: true });
  mkdirSync(join(tree, 'home'));
  writeFileSync(join(tree, 'etc/os-release'), 'ID=debian\nPRETTY_NAME="Debian"\n');
  writeFileSync(join(tree, 'etc/fstab'), 'LABEL=home /home ext4 defaults 0 2\n');
  writeFileSync(join(tree, 'etc/hostname'), `${hostname}\n`);
  symlinkSync('etc/hostname', join(tree, 'name'));
  mkdirSync(join(tree, 'boot'));
  for (const version of ['6.1.0-10', '6.1.0-9']) {
    writeFileSync(join(tree, `boot/vmlinuz-${version}`), `kernel ${version}`);
    writeFileSync(join(tree, `boot/initrd.img-${version}`), `initrd ${version}`);
  }
  mkdirSync(join(tree, 'var/log'), { recursive: true });
  writeFileSync(join(tree, 'var/log/syslog'), 'a line\n');
  const home = join(folder, 'home');
  mkdirSync(join(home, 'me'), { recursive: true });
  writeFileSync(join(home, 'me/big'), Buffer.alloc(300_000, 'big '));
  const image = join(folder, 'disk.img');
  const partition = (start: number, name: string) => ({
    start: BigInt((start * MIB) / 512),
    sectors: BigInt((6 * MIB) / 512),
    type: LINUX_FILESYSTEM,
    guid: GUID,
    name,
  });
  const tables = gptTables([partition(1, 'root'), partition(8, 'home')], BigInt(SIZE / 512), GUID);
  writeFileSync(image, tables.primary);
  truncateSync(image, SIZE);
  const fd = openSync(image, 'r+');
  writeSync(fd, tables.backup, 0, undefined, SIZE - tables.backup.length);
  for (const [label, source, start] of [
    ['root', tree, 1],
    ['home', home, 8],
  ] as const) {
    const part = join(folder, `${label}.part`);
    await runWell('mke2fs', ['-q', '-F', '-t', 'ext4', '-L', label, '-d', source, part, '6M']);
    writeSync(fd, readFileSync(part), 0, undefined, start * MIB);
  }
  return { folder, tree, image };
}

test('cat, ls and the mounted tree', async t => {
  const disk = await diskOf(t);
  if (!disk) return;
  const { image } = disk;
  assert.equal(await printed('cat', '-a', image, '/name', '/etc/hostname'), 'box\nbox\n');
  assert.equal((await printed('cat', '-a', image, '/home/me/big')).length, 300_000);
  assert.equal(await printed('ls', '-a', image, '/etc'), 'fstab\nhostname\nos-release\n');
  assert.equal(await printed('ls', '-R', '-a', image, '/home'), 'lost+found\nme\nme/big\n');
  assert.equal(await printed('ls', '-m', '/dev/sda2', '-a', image, '/'), 'lost+found\nme\n');
  const long = await printed('ls', '-lR', '--csv', '--checksum', '-a', image, '/etc');
  assert.match(long, /^d,0755,\d+,,\/etc\n-,0644,35,[\da-f]{32},\/etc\/fstab\n/);
  const { status, stderr } = await files('cat', '-a', image, '/none', '/etc');
  assert.equal(status, 1);
  assert.equal(
    stderr,
    'nbdfiles: /none: no such file or directory\nnbdfiles: /etc: is a directory\n',
  );
});

test('df and filesystems', async t => {
  const disk = await diskOf(t);
  if (!disk) return;
  const [title, root, home] = (await printed('df', '-a', disk.image)).split('\n');
  assert.equal(title, `${'Filesystem'.padEnd(36)} 1K-blocks       Used  Available  Use%`);
  assert.match(root!, /^disk\.img:\/dev\/sda1 {18} +\d+ +\d+ +\d+ +\d+%$/);
  assert.match(home!, /^disk\.img:\/dev\/sda2 /);
  const list = await printed('filesystems', '--all', '--long', '--csv', '-a', disk.image);
  assert.match(list, /^Name,Type,VFS,Label,MBR,Size,Parent\n\/dev\/sda1,filesystem,ext4,root,,/);
  assert.match(
    list,
    /\n\/dev\/sda2,partition,,,,6291456,\/dev\/sda\n\/dev\/sda,device,,,,16777216,\n$/,
  );
});

test('tar-out as tar has it, and copy-out', async t => {
  const disk = await diskOf(t);
  if (!disk || !has(t, 'tar', 'diff')) return;
  const { folder, tree, image } = disk;
  const archive = join(folder, 'out.tar');
  await printed('tar-out', '-m', '/dev/sda1', '-a', image, '/', archive);
  const extracted = join(folder, 'extracted');
  mkdirSync(extracted);
  await runWell('tar', ['-xf', archive, '-C', extracted, '--exclude=./lost+found']);
  await runWell('diff', ['-r', '--no-dereference', tree, extracted]);
  const copied = join(folder, 'copied');
  mkdirSync(copied);
  await printed('copy-out', '-a', image, '/etc', '/name', copied);
  await runWell('diff', ['-r', '--no-dereference', join(tree, 'etc'), join(copied, 'etc')]);
});

test('diff', async t => {
  const [first, second] = [await diskOf(t), await diskOf(t, 'other')];
  if (!first || !second) return;
  assert.equal(await printed('diff', '-a', first.image, '-A', first.image), '');
  const said = await printed('diff', '--checksum', '-a', first.image, '-A', second.image);
  assert.match(said, /^= - 0644 +4 [\da-f]{32} \/etc\/hostname$/m);
  assert.match(said, /^-box\n\+other\n@@ End of diff @@$/m);
});

test('log and get-kernel', async t => {
  const disk = await diskOf(t);
  if (!disk) return;
  const { folder, image } = disk;
  assert.equal(await printed('log', '-a', image), 'a line\n');
  await printed('get-kernel', '-q', '--unversioned-names', '-o', folder, '-a', image);
  assert.equal(readFileSync(join(folder, 'vmlinuz'), 'utf8'), 'kernel 6.1.0-10');
  assert.equal(readFileSync(join(folder, 'initrd.img'), 'utf8'), 'initrd 6.1.0-10');
});

test('inspector', async t => {
  const disk = await diskOf(t);
  if (!disk) return;
  const said = await printed('inspector', '-a', disk.image);
  assert.equal(
    said.replace(/(<uuid>)[-\da-f]{36}</g, '$1<'),
    `<?xml version="1.0"?>
<operatingsystems>
  <operatingsystem>
    <root>/dev/sda1</root>
    <name>linux</name>
    <distro>debian</distro>
    <product_name>Debian</product_name>
    <package_format>deb</package_format>
    <package_management>apt</package_management>
    <hostname>box</hostname>
    <mountpoints>
      <mountpoint dev="/dev/sda1">/</mountpoint>
      <mountpoint dev="/dev/sda2">/home</mountpoint>
    </mountpoints>
    <filesystems>
      <filesystem dev="/dev/sda1">
        <type>ext4</type>
        <label>root</label>
        <uuid></uuid>
      </filesystem>
      <filesystem dev="/dev/sda2">
        <type>ext4</type>
        <label>home</label>
        <uuid></uuid>
      </filesystem>
    </filesystems>
    <applications/>
  </operatingsystem>
</operatingsystems>
`,
  );
});

test('by the names of libguestfs, and over NBD', async t => {
  const disk = await diskOf(t);
  if (!disk) return;
  const { folder, image } = disk;
  await printed('--link', folder);
  const outcome = await run(join(folder, 'virt-cat'), [image, '/etc/hostname']);
  assert.deepEqual([outcome.status, outcome.stdout, outcome.stderr], [0, 'box\n', '']);
  const nbdkit = resolve(import.meta.dirname, '../../dist/nbdkit.cjs');
  const command = ['[', process.execPath, nbdkit, 'file', image, ']'];
  assert.equal(await printed('cat', '-a', ...command, '/etc/hostname'), 'box\n');
});

test('a file of a compressed disk far away takes few requests', async t => {
  const disk = await diskOf(t);
  if (!disk || !has(t, 'xz')) return;
  await runWell('xz', ['-1', '--block-size=256KiB', disk.image]);
  const packed = readFileSync(`${disk.image}.xz`);
  const web = await webServer(t, (request, response) => sendPart(request, response, packed));
  assert.equal(await printed('cat', '-a', web.url('/disk.img.xz'), '/name'), 'box\n');
  // Of these, seven are for what file it is and the index at its end.
  assert.ok(web.requests.length <= 17, `${web.requests.length} requests`);
});

for (const [words, why] of [
  [['cat', '/x'], /nbdfiles: which disk\?/],
  [['cat', '-a', '/nowhere/none.img', '/x'], /none\.img.*no such file/i],
  [['catt'], /did you mean 'cat'/],
  [['df', '-h', '--csv', '-a', 'x'], /cannot use -h and --csv/],
  [['df', '-d', 'guest'], /guests of libvirt/],
  [['ls', '--checksum=md6', '-a', 'x', '/'], /expected one of crc, md5/],
] as const) {
  test(`nbdfiles ${words.join(' ')}`, async () => {
    const { status, stderr } = await files(...words);
    assert.equal(status, 1);
    assert.match(stderr, why);
  });
}
