/** Volumes that cryptsetup, qemu and the C nbdkit make or read. */
import assert from 'node:assert/strict';
import { readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { BlockDevice } from '../../src/block/device.ts';
import { bytesBeforeData, type CreateOptions, createLuks } from '../../src/formats/luks/create.ts';
import { addSlot } from '../../src/formats/luks/slots.ts';
import { fileDevice } from '../../src/stores/file/device.ts';
import { openFile } from '../../src/stores/file/open.ts';
import { Random, readBytes } from '../../src/testing/model.ts';
import { openOver } from '../contract/open.ts';
import { findCNbdkit, servedByC } from '../peer/c-nbdkit.ts';
import { temporaryFolder } from '../peer/wire.ts';
import { has, run, runWell } from './programs.ts';

const MIB = 1 << 20;
const SIZE = 4 * MIB;

const open = (path: string) => fileDevice(openFile(path, false));
const opened = (path: string, words = 'passphrase=secret') => openOver(open(path), `luks ${words}`);

/** A volume of our own with 4 MiB of random bytes in it. */
async function ourVolume(t: TestContext, options: Partial<CreateOptions>) {
  const all = { passphrase: Buffer.from('secret'), iterTime: 10, memory: 1 << 20, ...options };
  const path = join(temporaryFolder(t), 'ours.luks');
  writeFileSync(path, '');
  truncateSync(path, bytesBeforeData(all) + SIZE);
  const file = open(path);
  await createLuks(file, all);
  await file.close?.();
  const content = new Random(3).bytes(SIZE);
  await filled(await opened(path), content);
  return { path, content };
}

async function filled(device: BlockDevice, content: Buffer): Promise<void> {
  await device.write!(0n, content);
  await device.close?.();
}

/** What qemu finds in a volume. */
async function byQemu(t: TestContext, path: string): Promise<Buffer> {
  const raw = join(temporaryFolder(t), 'raw');
  const secret = ['--object', 'secret,id=s,data=secret'];
  const image = ['--image-opts', `driver=luks,key-secret=s,file.filename=${path}`];
  await runWell('qemu-img', ['convert', ...secret, ...image, '-O', 'raw', raw]);
  return readFileSync(raw);
}

test('a volume that qemu has made', async t => {
  if (!has(t, 'qemu-img')) return;
  const path = join(temporaryFolder(t), 'qemu.luks');
  const secret = ['--object', 'secret,id=s,data=secret'];
  const words = ['create', '-f', 'luks', ...secret, '-o', 'key-secret=s,iter-time=10', path, '4M'];
  // It measures the time of its own threads, and fails when that is too short.
  for (let left = 10; (await run('qemu-img', words)).status !== 0; left--) {
    assert.ok(left > 0, 'qemu-img makes none');
  }
  const content = new Random(2).bytes(SIZE);
  await filled(await opened(path), content);
  assert.ok(content.equals(await byQemu(t, path)));
});

const CIPHERS: readonly Partial<CreateOptions>[] = [
  {},
  { cipherAlg: 'aes-128', cipherMode: 'cbc', ivgenAlg: 'essiv', hashAlg: 'sha1' },
  { cipherAlg: 'aes-256', cipherMode: 'ecb', hashAlg: 'ripemd160' },
];

for (const options of CIPHERS) {
  test(`a volume of ours, read by qemu and the C nbdkit: ${JSON.stringify(options)}`, async t => {
    if (!has(t, 'qemu-img', 'nbdkit', 'nbdcopy')) return;
    const { path, content } = await ourVolume(t, options);
    assert.ok(content.equals(await byQemu(t, path)));
    // It knows no ESSIV and no ECB.
    if (options.cipherMode) return;
    const words = ['file', path, '--filter=luks', 'passphrase=secret'];
    assert.ok(content.equals(servedByC(findCNbdkit()!, ...words)!));
  });
}

for (const version of [1, 2] as const) {
  test(`a volume of ours of version ${version}, opened and changed by cryptsetup`, async t => {
    if (!has(t, 'cryptsetup')) return;
    const { path, content } = await ourVolume(t, { version });
    const key = (name: string) => {
      const file = join(temporaryFolder(t), name);
      writeFileSync(file, name);
      return file;
    };
    const file = open(path);
    const added = { passphrase: Buffer.from('secret'), added: Buffer.from('ours') };
    assert.equal(await addSlot(file, { ...added, iterTime: 10, memory: 1 << 20 }), 1);
    const tried = ['luksOpen', '--test-passphrase', path];
    for (const name of ['secret', 'ours']) {
      await runWell('cryptsetup', [...tried, '--key-file', key(name)]);
    }
    const cheap = ['--pbkdf', 'pbkdf2', '--pbkdf-force-iterations', '1000'];
    const more = ['luksAddKey', ...cheap, path, '--key-file', key('ours'), key('theirs')];
    await runWell('cryptsetup', more);
    const device = await opened(path, 'passphrase=theirs');
    assert.ok(content.equals(await readBytes(device, 0n, SIZE)));
    assert.match(await runWell('cryptsetup', ['luksDump', path]), /2: (luks2|ENABLED)|Slot 2: ENA/);
    await runWell('cryptsetup', ['luksKillSlot', '-q', path, '1']);
    await assert.rejects(opened(path, 'passphrase=ours'), { errno: 'EACCES' });
  });
}

for (const options of [
  ['--pbkdf', 'argon2id', '--pbkdf-memory', '1024', '--pbkdf-force-iterations', '4'],
  ['--pbkdf', 'pbkdf2', '--pbkdf-force-iterations', '1000', '--sector-size', '4096'],
]) {
  test(`a volume that cryptsetup has made with ${options.join(' ')}`, async t => {
    if (!has(t, 'cryptsetup')) return;
    const folder = temporaryFolder(t);
    const path = join(folder, 'theirs.luks');
    const content = new Random(4).bytes(SIZE);
    writeFileSync(path, content);
    truncateSync(path, 40 * MIB);
    writeFileSync(join(folder, 'key'), 'secret');
    const words = ['reencrypt', '--encrypt', '--type', 'luks2', '--reduce-device-size', '32M'];
    const quick = ['--force-offline-reencrypt', '--resilience', 'none', '-q'];
    const key = ['--key-file', join(folder, 'key')];
    await runWell('cryptsetup', [...words, ...quick, ...key, ...options, path]);
    const device = await opened(path);
    assert.ok(content.equals(await readBytes(device, 0n, SIZE)));
    await device.close?.();
  });
}

test('a header of cryptsetup that is apart from the data', async t => {
  if (!has(t, 'cryptsetup')) return;
  const folder = temporaryFolder(t);
  const [header, disk, key] = ['header', 'disk', 'key'].map(name => join(folder, name));
  writeFileSync(disk!, Buffer.alloc(SIZE));
  writeFileSync(key!, 'secret');
  for (const type of ['luks1', 'luks2']) {
    writeFileSync(header!, Buffer.alloc(16 * MIB));
    const cheap = ['--pbkdf', 'pbkdf2', '--pbkdf-force-iterations', '1000'];
    const words = ['luksFormat', '-q', '--type', type, ...cheap, '--header', header!];
    await runWell('cryptsetup', [...words, disk!, key!]);
    const device = await opened(disk!, `passphrase=secret luks-header=${header}`);
    assert.equal(device.size, BigInt(SIZE));
    await device.close?.();
  }
});
