/** Images that qemu makes or reads, of all formats. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { Random, readBytes } from '../../src/testing/model.ts';
import { makeImageFile, openImageFile, scribble } from '../peer/images.ts';
import { temporaryFolder } from '../peer/wire.ts';
import { has, run, runWell } from './programs.ts';

const SIZE = 5 << 20;

/** Formats by qemu's names, with options for making them. */
const FORMATS: readonly (readonly [format: string, options: string])[] = [
  ['qcow2', ''],
  ['qcow2', 'compat=0.10'],
  ['qcow2', 'cluster_size=512,refcount_bits=64'],
  ['qcow2', 'cluster_size=2M,refcount_bits=1'],
  ['qcow2', 'extended_l2=on,lazy_refcounts=on'],
  ['qcow2', 'compression_type=zstd,cluster_size=4k'],
  ['vdi', ''],
  ['vdi', 'static=on'],
  ['vpc', ''],
  ['vpc', 'subformat=fixed'],
  ['vhdx', ''],
  ['vhdx', 'subformat=fixed'],
  ['vmdk', ''],
  ['vmdk', 'subformat=monolithicFlat'],
  ['vmdk', 'subformat=twoGbMaxExtentSparse'],
];

/** Formats without a check answer 63. */
async function agrees(path: string, format: string, content: Buffer): Promise<void> {
  const checked = await run('qemu-img', ['check', '-f', format, path]);
  assert.ok([0, 63].includes(checked.status!), checked.stdout + checked.stderr);
  const raw = `${path}.raw`;
  writeFileSync(raw, content);
  await runWell('qemu-img', ['compare', '-f', format, '-F', 'raw', path, raw]);
}

async function holds(path: string, format: string, content: Buffer): Promise<void> {
  const { device } = await openImageFile(path, format, true);
  const bytes = await readBytes(device, 0n, content.length);
  assert.ok(bytes.equals(content));
  await device.close?.();
}

const sized = (content: Buffer, size: bigint) => {
  assert.ok(size >= BigInt(content.length));
  return Buffer.concat([content], Number(size));
};

for (const [format, options] of FORMATS) {
  const what = options ? `${format} with ${options}` : format;
  const words = options ? ['-o', options] : [];

  test(`${what}: qemu's, read and written`, async t => {
    if (!has(t, 'qemu-img')) return;
    const path = join(temporaryFolder(t), `theirs.${format}`);
    const content = await random(t, path, ['-O', format, ...words]);
    await holds(path, format, content);
    const { device } = await openImageFile(path, format);
    const all = sized(content, device.size);
    await scribble(device, all, { count: 30 });
    await device.close?.();
    await holds(path, format, all);
    await agrees(path, format, all);
  });

  test(`${what}: ours, read and written by qemu`, async t => {
    if (!has(t, 'qemu-img', 'qemu-io')) return;
    const path = join(temporaryFolder(t), `ours.${format}`);
    await makeImageFile(path, format, BigInt(SIZE), options);
    const { device } = await openImageFile(path, format);
    const content = Buffer.alloc(Number(device.size));
    await scribble(device, content, { count: 30 });
    await device.close?.();
    await agrees(path, format, content);
    await runWell('qemu-io', ['-f', format, '-c', 'write -P 7 1000k 1M', path]);
    content.fill(7, 1000 << 10, (1000 << 10) + (1 << 20));
    await holds(path, format, content);
  });
}

test('vmdk with compressed grains: theirs read, ours read by qemu', async t => {
  if (!has(t, 'qemu-img')) return;
  const folder = temporaryFolder(t);
  const options = 'subformat=streamOptimized';
  const theirs = join(folder, 'theirs.vmdk');
  const content = await random(t, theirs, ['-O', 'vmdk', '-o', options]);
  await holds(theirs, 'vmdk', content);
  const ours = join(folder, 'ours.vmdk');
  await makeImageFile(ours, 'vmdk', BigInt(SIZE), options);
  const { device } = await openImageFile(ours);
  await device.write!(0n, content);
  await device.close?.();
  await agrees(ours, 'vmdk', content);
});

test('vmdk over another one: ours over theirs, read by qemu', async t => {
  if (!has(t, 'qemu-img')) return;
  const folder = temporaryFolder(t);
  const base = join(folder, 'base.vmdk');
  const content = await random(t, base, ['-O', 'vmdk']);
  const child = join(folder, 'child.vmdk');
  await makeImageFile(child, 'vmdk', BigInt(SIZE), 'backing_file=base.vmdk');
  const { device } = await openImageFile(child);
  await scribble(device, content, { count: 10 });
  await device.close?.();
  await agrees(child, 'vmdk', content);
});

/** An image with data here and there, converted by qemu. */
async function random(t: TestContext, path: string, words: string[]): Promise<Buffer> {
  const content = Buffer.alloc(SIZE);
  const bytes = new Random(9);
  for (const at of [0, 170_000, 1 << 20, 3_000_000, SIZE - 100_000]) {
    bytes.bytes(100_000).copy(content, at);
  }
  const raw = join(temporaryFolder(t), 'raw');
  writeFileSync(raw, content);
  await runWell('qemu-img', ['convert', '-f', 'raw', ...words, raw, path]);
  assert.ok(readFileSync(path).length > 0);
  return content;
}
