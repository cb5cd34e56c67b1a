import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { crc32 } from 'node:zlib';
import { openPlugin, pluginSource, REQUEST } from '../../../test/contract/open.ts';
import { findCNbdkit, servedByC } from '../../../test/peer/c-nbdkit.ts';
import { readBytes } from '../../testing/model.ts';

const folder = mkdtempSync(join(tmpdir(), 'nbdpipe-partitioning-'));
after(() => rmSync(folder, { recursive: true }));

/** A file of that size which begins with its name. */
function file(name: string, size: number): string {
  const path = join(folder, name);
  writeFileSync(path, name);
  truncateSync(path, size);
  return path;
}

const a = file('a', 1_000_000);
const b = file('b', 5 << 20);
const c = file('c', 1536);
const d = file('d', 700);
const e = file('e', 1);

async function disk(...words: string[]): Promise<Buffer> {
  const device = await openPlugin('partitioning', ...words);
  try {
    return await readBytes(device, 0n, Number(device.size));
  } finally {
    await device.close!();
  }
}

/** Runs a checker over a disk. */
function check(program: string, bytes: Buffer, ...options: string[]): string | undefined {
  const path = join(folder, 'disk');
  writeFileSync(path, bytes);
  const PATH = `${process.env.PATH}:/usr/sbin:/sbin`;
  const env = { ...process.env, PATH };
  const { error, status, stdout, stderr } = spawnSync(program, [...options, path], {
    env,
    encoding: 'utf8',
  });
  if (error) return undefined;
  assert.equal(status, 0, stdout + stderr);
  return stdout + stderr;
}

const MBR = [
  [a],
  [a, b, c, d],
  ['alignment=512', a, b, c],
  [a, 'mbr-id=0x82', b, 'mbr-id=default', 'alignment=4096', c],
  ['partition-type=mbr', a, b, c, d, e, b],
  ['partition-type=mbr', 'alignment=512', e, d, c, b, a],
];
const GPT = [
  [a, b, c, d, e],
  ['partition-type=gpt', a],
  ['partition-type=gpt', 'alignment=4096', a, 'alignment=512', b, c],
  [
    'partition-type=gpt',
    'type-guid={c12a7328-f81f-11d2-ba4b-00a0c93ec93b}',
    a,
    'type-guid=default',
    b,
  ],
  ['alignment=512', ...Array(130).fill(d)],
];

test('an MBR is that of C, byte for byte', async t => {
  const nbdkit = findCNbdkit();
  if (!nbdkit) return t.skip('needs nbdkit and nbdcopy of the C project');
  for (const words of MBR) {
    const theirs = servedByC(nbdkit, 'partitioning', ...words);
    assert.ok((await disk(...words)).equals(theirs!), words.join(' '));
  }
});

/** Without what is random in C, names (C takes whole paths) and the length of the header. */
function comparable(bytes: Buffer): Buffer {
  const copy = Buffer.from(bytes);
  for (const at of [512, bytes.length - 512]) {
    assert.equal(copy.toString('latin1', at, at + 8), 'EFI PART');
    const entries = Number(copy.readBigUInt64LE(at + 72)) * 512;
    const count = copy.readUInt32LE(at + 80);
    for (let index = 0; index < count; index++) {
      copy.fill(0, entries + index * 128 + 16, entries + index * 128 + 32);
      copy.fill(0, entries + index * 128 + 56, entries + index * 128 + 128);
    }
    copy.fill(0, at + 12, at + 20);
    copy.fill(0, at + 56, at + 72);
    copy.fill(0, at + 88, at + 92);
  }
  return copy;
}

test('a GPT is that of C but for GUIDs and names', async t => {
  const nbdkit = findCNbdkit();
  if (!nbdkit) return t.skip('needs nbdkit and nbdcopy of the C project');
  for (const words of GPT) {
    const theirs = servedByC(nbdkit, 'partitioning', ...words);
    assert.ok(comparable(await disk(...words)).equals(comparable(theirs!)), words.join(' '));
  }
});

test('sfdisk accepts every table', async t => {
  for (const words of [...MBR, ...GPT]) {
    const said = check('sfdisk', await disk(...words), '--verify');
    if (said === undefined) return t.skip('needs sfdisk');
    assert.match(said, /No errors detected/);
  }
});

test('sgdisk accepts every GPT', async t => {
  for (const words of GPT) {
    const said = check('sgdisk', await disk(...words), '-v');
    if (said === undefined) return t.skip('needs sgdisk');
    assert.match(said, /No problems found/);
  }
});

test('the checksums of a GPT are right, its names and GUIDs stay the same', async () => {
  const bytes = await disk(...GPT[0]!);
  assert.equal(bytes.toString('utf16le', 1024 + 128 + 56, 1024 + 128 + 60), 'b\0');
  const header = Buffer.from(bytes.subarray(512, 512 + 92));
  const sum = header.readUInt32LE(16);
  header.writeUInt32LE(0, 16);
  assert.equal(crc32(header), sum);
  assert.equal(crc32(bytes.subarray(1024, 1024 + 128 * 128)), header.readUInt32LE(88));
  assert.ok((await disk(...GPT[0]!)).equals(bytes));
});

test('partitions are written through, tables and padding are not', async () => {
  const path = file('written', 1000);
  const device = await openPlugin('partitioning', path);
  const table = await readBytes(device, 0n, 512);
  await device.write!(0n, table);
  await device.write!(4096n, Buffer.alloc(4096));
  await device.zero!(4096n, 4096);
  for (const [offset, bytes] of [
    [510n, Buffer.from([0])],
    [4096n, Buffer.from([1])],
    [(1n << 20n) - 1n, Buffer.from('xy')],
    [(1n << 20n) + 1000n, Buffer.from('z')],
  ] as const) {
    await assert.rejects(async () => await device.write!(offset, bytes), { errno: 'EIO' });
  }
  await assert.rejects(async () => await device.zero!(0n, 512), { errno: 'EIO' });
  await device.write!((1n << 20n) + 995n, Buffer.concat([Buffer.from('hello'), Buffer.alloc(5)]));
  await device.close!();
  assert.equal(readFileSync(path).subarray(995).toString(), 'hello');
});

test('read-only when a file is, or when it is asked for', async () => {
  const source = await pluginSource('partitioning', c);
  const device = await source.open({ ...REQUEST, readOnly: true });
  assert.equal(device.write, undefined);
  await device.close!();
});

test('a file that has grown since is refused', async () => {
  const path = file('grown', 1000);
  const source = await pluginSource('partitioning', path);
  truncateSync(path, 2000);
  await assert.rejects(async () => await source.open(REQUEST), { errno: 'EIO' });
});

test('large files make a GPT; an MBR refuses them', async t => {
  try {
    file('large', 3 * 2 ** 40);
  } catch {
    return t.skip('the file system has no files of 3 TiB');
  }
  const large = join(folder, 'large');
  const device = await openPlugin('partitioning', large);
  assert.equal((await readBytes(device, 512n, 8)).toString(), 'EFI PART');
  await device.close!();
  await assert.rejects(openPlugin('partitioning', large, 'partition-type=mbr'), /use .*=gpt/);
});

test('bad parameters', async () => {
  const empty = file('empty', 0);
  for (const [words, message] of [
    [[], /file: must be given/],
    [[empty], /is empty/],
    [[folder], /neither a regular file/],
    [[join(folder, 'none')], /no such file/],
    [[a, 'alignment=513'], /alignment: 513: expected a power of 2/],
    [[a, 'alignment=100'], /too small/],
    [[a, 'alignment=2M'], /too large/],
    [[a, 'mbr-id=256'], /mbr-id: '256': expected 0 to 0xff/],
    [[a, 'mbr-id=x'], /mbr-id: 'x'/],
    [[a, 'type-guid=x'], /type-guid: 'x' is no GUID/],
    [[a, 'partition-type=apm'], /expected one of mbr, gpt/],
  ] as const) {
    await assert.rejects(openPlugin('partitioning', ...words), { name: 'UsageError', message });
  }
});
