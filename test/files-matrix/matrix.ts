/**
 * `npm run test:files-matrix`: whole systems on disks as machines have them, raw, as qcow2 and over NBD,
 * by each command, against what the kernel, ntfs-3g and GNU's programs say of them.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, statfsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { type TestContext, test } from 'node:test';
import { has, run, startProgram } from '../interop/programs.ts';
import { temporaryFolder } from '../peer/wire.ts';
import { DISKS, type DiskKind } from './disks.ts';
import { comparable, factsOf, OPTIONS } from './facts.ts';
import { debian, shell } from './tree.ts';

const DIST = resolve(import.meta.dirname, '../../dist');

/** A disk as a command gets it: words after -a. */
type Form = readonly string[];

const nbdfiles = (words: readonly string[]) =>
  run(process.execPath, [join(DIST, 'nbdfiles.cjs'), ...words], { timeout: 600_000 });

async function printed(...words: readonly string[]): Promise<string> {
  const { status, stdout, stderr } = await nbdfiles(words);
  assert.deepEqual([status, stderr], [0, ''], words.join(' '));
  return stdout;
}

for (const [name, kind] of Object.entries(DISKS)) {
  test(name, async t => {
    if (!has(t, 'qemu-img', 'getfattr', 'tar', 'diff', ...kind.programs)) return;
    const folder = temporaryFolder(t);
    await kind.make(folder);
    let usage: readonly number[] = [];
    let attributes = '';
    const facts = await kind.facts(t, folder, async tree => {
      const { bsize, blocks, bfree, bavail } = statfsSync(tree);
      usage = [blocks, blocks - bfree, bavail].map(count => (count * bsize) / 1024);
      if (kind.attributes) attributes = await attributesOf(tree);
    });
    const forms = await formsOf(t, folder);
    for (const [form, disk] of Object.entries(forms)) {
      const row: Row = { kind, disk, folder: join(folder, form), facts };
      mkdirSync(row.folder);
      await t.test(`${form}: ls`, () => checkList(row));
      await t.test(`${form}: cat`, () => checkCat(row));
      await t.test(`${form}: df`, () => checkUsage(row, usage));
      await t.test(`${form}: filesystems`, () => checkFileSystems(row));
      await t.test(`${form}: tar-out`, () => checkArchive(row, attributes));
      await t.test(`${form}: copy-out`, () => checkCopy(row));
      await t.test(`${form}: inspector`, () => checkInspector(row));
    }
    await t.test('diff', () => checkDifference(kind, folder, forms));
  });
}

interface Row {
  readonly kind: DiskKind;
  readonly disk: Form;
  readonly folder: string;
  readonly facts: readonly string[];
}

async function formsOf(t: TestContext, folder: string): Promise<Readonly<Record<string, Form>>> {
  const [raw, qcow2, socket] = ['disk', 'disk.qcow2', 'socket'].map(name => join(folder, name));
  await shell(`qemu-img convert -O qcow2 -c ${raw} ${qcow2}`);
  const served = [join(DIST, 'nbdkit.cjs'), '-f', '-r', '-U', socket!, 'file', raw!];
  await startProgram(t, process.execPath, served, () => existsSync(socket!));
  return {
    raw: ['--format=raw', '-a', raw!],
    qcow2: ['-a', qcow2!],
    nbd: ['-a', `nbd+unix:///?socket=${socket}`],
  };
}

async function checkList({ kind, disk, facts }: Row): Promise<void> {
  const text = await printed('ls', '-lR', '--csv', ...OPTIONS, '-m', kind.device, ...disk, '/');
  // A name may have a line end.
  const lines = text.slice(0, -1).split(/\n(?=[-dlcbps],\d{4},)/);
  same(comparable(lines, kind.extent), comparable(facts, kind.extent));
}

/** Told by the first lines that differ, as there are thousands. */
function same(found: readonly string[], expected: readonly string[]): void {
  const [ours, theirs] = [new Set(found), new Set(expected)];
  const only = (lines: readonly string[], others: ReadonlySet<string>) =>
    lines.filter(line => !others.has(line)).slice(0, 8);
  assert.deepEqual(
    { lines: only(found, theirs), count: found.length },
    { lines: only(expected, ours), count: expected.length },
  );
}

async function checkCat({ kind, disk, facts }: Row): Promise<void> {
  for (const [path, target] of kind.windows ? WINDOWS_FILES : SYSTEM_FILES) {
    const text = await printed('cat', '-m', kind.device, ...disk, path);
    const sum = createHash('sha256').update(text, 'latin1').digest('hex');
    assert.ok(
      facts.some(line => line.endsWith(`,${sum},${target}`)),
      path,
    );
  }
}

/** In KiB: of all, of what is used, of what is available. */
async function checkUsage({ kind, disk }: Row, usage: readonly number[]): Promise<void> {
  const lines = (await printed('df', '--csv', ...disk)).split('\n');
  const line = lines.find(each => each.split(',')[1] === kind.device);
  assert.ok(line, lines.join('\n'));
  const found = line.split(',').slice(2, 5).map(Number);
  for (const [index, expected] of usage.entries()) {
    const difference = Math.abs(found[index]! - expected);
    assert.ok(difference <= (kind.reserve ?? 0), `${found} where the kernel has ${usage}`);
  }
  assert.match(await printed('df', '-h', ...disk), new RegExp(`${kind.device} +\\d`));
}

async function checkFileSystems({ kind, disk }: Row): Promise<void> {
  const text = await printed('filesystems', '--all', '--long', '-h', ...disk);
  for (const line of kind.listed) assert.match(text, line);
}

async function checkArchive({ kind, disk, folder, facts }: Row, attributes: string): Promise<void> {
  const [archive, tree] = [join(folder, 'tar'), join(folder, 'extracted')];
  await printed('tar-out', '-m', kind.device, ...disk, '/', archive);
  mkdirSync(tree);
  // XFS has room for all extended attributes that others have.
  await shell(`
    truncate -s 4G ${folder}/scratch; mkfs.xfs -q ${folder}/scratch
    mount -o loop ${folder}/scratch ${tree}`);
  try {
    await shell(`tar -xpf ${archive} --numeric-owner --xattrs --xattrs-include='*' -C ${tree}`);
    same(comparable(factsOf(tree), 'portable'), comparable(facts, 'portable'));
    if (kind.attributes) assert.equal(await attributesOf(tree), attributes);
  } finally {
    await shell(`umount ${tree}; rm ${folder}/scratch ${archive}`);
  }
}

/** As getfattr says them, in an order of their own. */
async function attributesOf(tree: string): Promise<string> {
  const text = await shell(`cd ${tree}; getfattr -R -P -h -d -m - -e hex .`);
  // XFS shows lists of access twice.
  const lines = (file: string) => file.split('\n').filter(line => !line.includes('SGI_ACL'));
  const files = text.split('\n\n').map(file => lines(file).sort().join('\n'));
  return files.sort().join('\n\n');
}

/** What copy-out leaves out. */
const SPECIAL = /^[bcp],/;

async function checkCopy({ kind, disk, folder, facts }: Row): Promise<void> {
  const tree = join(folder, 'copied');
  mkdirSync(tree);
  const words = ['copy-out', '-m', kind.device, ...disk, '/', tree];
  const { status, stderr } = await nbdfiles(words);
  assert.equal(status, 0, stderr);
  const copied = factsOf(tree).filter(line => !line.endsWith(',/'));
  const expected = facts.filter(line => !SPECIAL.test(line) && !line.endsWith(',/'));
  same(comparable(copied, 'portable'), comparable(expected, 'portable'));
  await shell(`rm -r ${tree}`);
}

async function checkInspector({ kind, disk }: Row): Promise<void> {
  const text = await printed('inspector', ...disk);
  assert.ok(text.includes(`<root>${kind.device}</root>`), text);
  if (kind.windows) {
    assert.match(text, /<windows_systemroot>\/Windows</);
    return;
  }
  assert.match(text, /<distro>debian<.*<hostname>matrix</s);
  const packages = await shell(`dpkg-query --admindir=${await debian()}/var/lib/dpkg -W`);
  assert.equal(text.match(/<application>/g)?.length, packages.trim().split('\n').length);
}

/** Nothing to itself over NBD; the lines of what is changed in a copy. */
async function checkDifference(
  kind: DiskKind,
  folder: string,
  { raw, nbd }: Readonly<Record<string, Form>>,
): Promise<void> {
  const second = (form: Form) => form.map(word => (word === '-a' ? '-A' : word));
  assert.equal(await printed('diff', '--all', '--checksum', ...raw!, ...second(nbd!)), '');
  const changed = join(folder, 'changed');
  mkdirSync(changed);
  await shell(
    `cp -a --sparse=always ${folder}/disk ${folder}/tree ${changed} 2> /dev/null || true`,
  );
  await kind.change(changed, kind.windows ? WINDOWS_CHANGE : SYSTEM_CHANGE);
  const other = ['--format=raw', '-A', join(changed, 'disk')];
  const text = await printed('diff', '--checksum', ...raw!, ...other);
  for (const line of kind.windows ? WINDOWS_DIFFERENCES : SYSTEM_DIFFERENCES)
    assert.match(text, line);
}

const SYSTEM_FILES = [
  ['/etc/os-release', '/usr/lib/os-release'],
  ['/usr/bin/perl', '/usr/bin/perl'],
  ['/odd/long-link', '/odd/linked'],
  ['/odd/pieces', '/odd/pieces'],
] as const;
const SYSTEM_CHANGE =
  'echo other > etc/hostname; rm usr/bin/perl; echo new > odd/new; chmod 600 etc/fstab';
const SYSTEM_DIFFERENCES = [
  /^= - 0755 +7 [\da-f]{32} \/etc\/hostname\n@@ .*?^-matrix\n\+other$/ms,
  /^- - 0755 +\d+ [\da-f]+ \/usr\/bin\/perl$/m,
  /^\+ - 0644 +4 [\da-f]+ \/odd\/new$/m,
  /^- - 0644 +\d+ [\da-f]+ \/etc\/fstab\n\+ - 0600 [^\n]*\n# changed: st_mode/m,
];
const WINDOWS_FILES = [
  ['/Windows/System32/bash', '/Windows/System32/bash'],
  ['/Users/Me/compressible', '/Users/Me/compressible'],
] as const;
const WINDOWS_CHANGE =
  "echo x > Windows/System32/drivers/etc/hosts; rm -r Users/Me/Desktop; echo > 'Users/new'";
const WINDOWS_DIFFERENCES = [
  /^= - 0777 +9 [\da-f]+ \/Windows\/System32\/drivers\/etc\/hosts$/m,
  /^- - 0777 +3000000 [\da-f]+ \/Users\/Me\/Desktop\/picture.jpg$/m,
  /^\+ - 0777 +1 [\da-f]+ \/Users\/new$/m,
];
