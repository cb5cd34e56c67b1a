import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { deviceContract } from '../../../test/contract/contract.ts';
import { openPlugin } from '../../../test/contract/open.ts';
import { isZero } from '../../block/data.ts';
import type { BlockDevice } from '../../block/device.ts';
import { readBytes } from '../../testing/model.ts';

const folder = fs.mkdtempSync(join(tmpdir(), 'nbdpipe-floppy-'));
after(() => fs.rmSync(folder, { recursive: true }));
const START = 1 << 20;

const source = join(folder, 'source');
const NAMES = [
  'README',
  'hello.txt',
  'a long file name with spaces and ümlaut.text',
  '+a,b;c=d[e].x',
  'foo.bar.baz',
  '.hidden',
  'x'.repeat(251),
  'exactly13char',
  'exactly.thirteen.chars.26x',
];
fs.mkdirSync(join(source, 'sub/Deep Directory'), { recursive: true });
fs.mkdirSync(join(source, 'EMPTY'));
for (const name of NAMES) fs.writeFileSync(join(source, name), `${name}\n`);
for (let n = 0; n < 120; n++) fs.writeFileSync(join(source, `sub/longfilename${n}.text`), `${n}`);
fs.writeFileSync(join(source, 'sub/Deep Directory/zero'), '');
fs.writeFileSync(join(source, 'sub/data.bin'), noise(300_001));
fs.symlinkSync('README', join(source, 'link'));
const modified = new Date(2001, 1, 3, 4, 5, 6);
fs.utimesSync(join(source, 'hello.txt'), modified, modified);

/** The same each time. */
function noise(length: number): Buffer {
  const parts = Array.from({ length: Math.ceil(length / 32) }, (_, index) =>
    createHash('sha256').update(`${index}`).digest(),
  );
  return Buffer.concat(parts, length);
}

/** Writes the disk to a sparse file, from `skip` on. */
async function imageOf(device: BlockDevice, name: string, skip: number): Promise<string> {
  const path = join(folder, name);
  const fd = fs.openSync(path, 'w');
  const piece = 1 << 20;
  for (let at = BigInt(skip); at < device.size; at += BigInt(piece)) {
    const bytes = await readBytes(device, at, Math.min(piece, Number(device.size - at)));
    if (!isZero(bytes)) fs.writeSync(fd, bytes, 0, bytes.length, Number(at) - skip);
  }
  fs.ftruncateSync(fd, Number(device.size) - skip);
  fs.closeSync(fd);
  return path;
}

function run(program: string, ...words: string[]) {
  const PATH = `${process.env.PATH}:/usr/sbin:/sbin`;
  // mtools writes names in the character set of the locale.
  const env = { ...process.env, PATH, LC_ALL: 'C.UTF-8' };
  return spawnSync(program, words, { env, encoding: 'utf8' });
}

const big = join(folder, 'big');
fs.mkdirSync(big);
fs.writeFileSync(join(big, 'sparse'), 'start');
fs.truncateSync(join(big, 'sparse'), 300 * 2 ** 20);
fs.writeFileSync(join(big, 'after'), 'end');
const nothing = join(folder, 'nothing');
fs.mkdirSync(nothing);

deviceContract('floppy', () => openPlugin('floppy', source), { writes: 'none' });
deviceContract('floppy size', () => openPlugin('floppy', big, 'size=1000000001'), {
  writes: 'none',
});

test('fsck.vfat finds nothing to repair', async t => {
  for (const words of [
    [source],
    [nothing],
    [big],
    [source, 'size=60M', 'label=MY DISK'],
    [source, 'size=100000001'],
  ]) {
    const path = await imageOf(await openPlugin('floppy', ...words), 'volume', START);
    const { error, status, stdout, stderr } = run('fsck.vfat', '-vn', path);
    if (error) return t.skip('needs fsck.vfat');
    assert.equal(status, 0, stdout + stderr);
    assert.doesNotMatch(stdout + stderr, /Warning|differ|Invalid|Bad|dirty|wrong/i);
  }
});

test('mtools gets every file back, with its name and time', async t => {
  const path = await imageOf(await openPlugin('floppy', source), 'disk', 0);
  const copy = join(folder, 'copy');
  fs.mkdirSync(copy);
  const image = `${path}@@1M`;
  const { error, status, stderr } = run('mcopy', '-s', '-m', '-p', '-i', image, '::*', copy);
  if (error) return t.skip('needs mcopy');
  assert.equal(status, 0, stderr);
  const expected = fs
    .readdirSync(source, { recursive: true, encoding: 'utf8' })
    .filter(name => name !== 'link');
  const found = fs.readdirSync(copy, { recursive: true, encoding: 'utf8' });
  assert.deepEqual(found.sort(), expected.sort());
  for (const name of expected) {
    if (fs.statSync(join(source, name)).isDirectory()) continue;
    const [ours, theirs] = [source, copy].map(place => fs.readFileSync(join(place, name)));
    assert.ok(ours!.equals(theirs!), name);
  }
  assert.deepEqual(fs.statSync(join(copy, 'hello.txt')).mtime, modified);
  assert.match(run('mdir', '-i', image, '::').stdout, /HELLO {4}TXT.*hello\.txt/);
});

test('the disk has one partition, as large as the disk', async () => {
  const device = await openPlugin('floppy', source, 'size=50M');
  assert.equal(device.size, 50n << 20n);
  const entry = (await readBytes(device, 446n, 66)).toString('hex');
  assert.equal(entry, `00feffff0cfeffff0008000000880100${'00'.repeat(48)}55aa`);
});

test('a terabyte is served at once, and its free space is a hole', async () => {
  const device = await openPlugin('floppy', source, 'size=1T');
  assert.equal(device.size, 1n << 40n);
  const runs = await device.extents!(1n << 39n, 1 << 20);
  assert.deepEqual(runs, [{ length: 1 << 20, hole: true, zero: true }]);
  const boot = await readBytes(device, BigInt(START), 512);
  assert.equal(boot[13], 64);
});

test('files are read when they are needed; one that is gone is an error', async () => {
  const changing = join(folder, 'changing');
  fs.mkdirSync(changing);
  for (const name of ['a', 'b']) fs.writeFileSync(join(changing, name), name.repeat(512));
  const device = await openPlugin('floppy', changing);
  const reserved = Number((await readBytes(device, BigInt(START + 14), 2)).readUInt16LE());
  const fat = (await readBytes(device, BigInt(START + 36), 4)).readUInt32LE();
  const data = BigInt(START + (reserved + 2 * fat + 1) * 512);
  assert.equal((await readBytes(device, data, 513)).toString(), `${'a'.repeat(512)}b`);
  fs.truncateSync(join(changing, 'a'), 100);
  fs.rmSync(join(changing, 'b'));
  await assert.rejects(readBytes(device, data, 512), { errno: 'EIO', message: /a': .*shorter/ });
  await assert.rejects(readBytes(device, data + 512n, 512), { errno: 'ENOENT' });
});

test('names that FAT cannot hold, and other bad input', async () => {
  const bad = (name: string, content = '') => {
    const place = fs.mkdtempSync(join(folder, 'bad-'));
    fs.writeFileSync(join(place, name), content);
    return place;
  };
  const twins = bad('Name');
  fs.writeFileSync(join(twins, 'nAME'), '');
  const huge = bad('huge');
  fs.truncateSync(join(huge, 'huge'), 2 ** 32);
  for (const [words, message] of [
    [[bad('a:b')], /a:b': FAT allows no such characters/],
    [[bad('end.')], /must not end with a dot/],
    [[twins], /FAT cannot tell it from/],
    [[huge], /huge': FAT holds files up to 4 GB/],
    [[join(source, 'README')], /README': not a directory/],
    [[join(folder, 'none')], /none': no such file/],
    [[big, 'size=100M'], /size: the files need .* bytes at least/],
    [[source, 'size=1M'], /too small/],
    [[source, 'size=3T'], /too large/],
    [[source, 'label=123456789012'], /label: '123456789012': expected 1 to 11/],
    [[source, 'label='], /label: ''/],
    [[], /dir: must be given/],
  ] as const) {
    await assert.rejects(openPlugin('floppy', ...words), { name: 'UsageError', message });
  }
});
