/** The suite that every reader of a file system passes, against the tree that the image was made of. */
import assert from 'node:assert/strict';
import { lstatSync, readdirSync, readFileSync, readlinkSync, type Stats } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { checked } from '../../src/block/checked.ts';
import { byteLength, contiguous } from '../../src/block/data.ts';
import type { BlockDevice } from '../../src/block/device.ts';
import { allExtents } from '../../src/block/emulate.ts';
import { BlockError } from '../../src/block/errors.ts';
import type { FileSystem, Node } from '../../src/formats/fs/file-system.ts';
import { type Place, Tree } from '../../src/formats/fs/tree.ts';
import { probe } from '../../src/inspect/probe.ts';
import { fileDevice } from '../../src/stores/file/device.ts';
import { openFile } from '../../src/stores/file/open.ts';
import { Random, readBytes } from '../../src/testing/model.ts';
import { has } from '../interop/programs.ts';
import { temporaryFolder } from '../peer/wire.ts';
import { type Kind, makeImage } from './images.ts';

/** What a new file system has by itself. */
const OWN = ['/lost+found', '/rr_moved'];

export async function openImage(device: BlockDevice): Promise<FileSystem> {
  const content = await probe(device);
  assert.equal(content.kind, 'filesystem');
  return content.kind === 'filesystem' ? content.format.open(device) : assert.fail();
}

/** Registers the tests of one kind. */
export function fileSystemContract(name: string, kind: Kind): void {
  test(`the contract of file systems: ${name}`, async t => {
    if (!has(t, ...kind.programs)) return;
    const made = await makeImage(temporaryFolder(t), kind);
    if (!made) return t.skip('nothing can be mounted here');
    const { tree: folder, image } = made;
    const device = fileDevice(openFile(image, true));
    t.after(() => device.close?.());
    const system = await openImage(device);
    const tree = new Tree([{ path: '/', fileSystem: system }]);
    await checkProperties(system, kind);
    await checkTree(tree, folder, kind);
    await checkContent(tree);
    await checkRefusals(tree);
    if (kind.posix) await checkPaths(tree);
    await checkShortened(device);
  });
}

async function checkProperties(system: FileSystem, { type }: Kind): Promise<void> {
  assert.equal(system.type, type);
  if (type !== 'squashfs') assert.equal(system.label.toLowerCase(), 'label');
  assert.deepEqual(system.warnings, []);
  const { blockSize, blocks, free, available } = await system.usage();
  assert.ok(blockSize > 0 && blocks > 0n && free <= blocks && available <= free);
}

/** Everything that is in the folder, and nothing else, with all that is said of it. */
async function checkTree(tree: Tree, folder: string, kind: Kind): Promise<void> {
  const expected = new Set(pathsIn(folder, ''));
  const ids = new Map<string, string>();
  for await (const { path, node } of tree.walk(await tree.find('/'))) {
    if (path === '/' || OWN.includes(path)) continue;
    assert.ok(expected.delete(path), `${path} is not in the tree`);
    await checkNode(path, node, join(folder, path), kind);
    ids.set(path, node.id);
  }
  assert.deepEqual([...expected], [], 'what is missing');
  const linked = ids.has('/hard') && kind.type !== 'iso9660';
  if (linked) assert.equal(ids.get('/hard'), ids.get('/size-4097'));
  assert.equal(new Set(ids.values()).size, ids.size - (linked ? 1 : 0));
}

function pathsIn(folder: string, under: string): string[] {
  return readdirSync(join(folder, under), { withFileTypes: true }).flatMap(entry => {
    const path = `${under}/${entry.name}`;
    return entry.isDirectory() ? [path, ...pathsIn(folder, path)] : [path];
  });
}

async function checkNode(path: string, node: Node, original: string, kind: Kind): Promise<void> {
  const stat = lstatSync(original);
  assert.equal(node.stat.type, typeOf(stat), path);
  if (kind.posix && kind.type !== 'iso9660' && !stat.isSymbolicLink()) {
    const bits = kind.type === 'xfs' ? 0o4777 : 0o7777;
    assert.equal(node.stat.mode & bits, stat.mode & bits, path);
  }
  if (stat.isSymbolicLink()) assert.equal(await node.readlink(), readlinkSync(original), path);
  if (!stat.isFile()) return;
  assert.equal(node.stat.size, BigInt(stat.size), path);
  const bytes = await whole(await node.open());
  assert.ok(bytes.equals(readFileSync(original)), `the content of ${path}`);
  const timed = kind.type !== 'xfs';
  if (timed)
    assert.equal(node.stat.mtime / 1_000_000_000n, BigInt(Math.floor(stat.mtimeMs / 1000)), path);
}

const typeOf = (stat: Stats) =>
  stat.isDirectory() ? 'directory' : stat.isSymbolicLink() ? 'symlink' : 'file';

async function whole(device: BlockDevice): Promise<Buffer> {
  if (device.size === 0n) return Buffer.alloc(0);
  return Buffer.from(contiguous(await device.read(0n, Number(device.size))));
}

/** A file is a device: reads do not depend on how they are cut, and what is zero reads so. */
async function checkContent(tree: Tree): Promise<void> {
  const random = new Random(3);
  for (const path of ['/sparse', '/size-150000', '/size-12289', '/size-30']) {
    const device = checked(await (await tree.find(path)).node.open());
    assert.equal(device.write, undefined);
    const bytes = await whole(device);
    for (let round = 0; round < 10; round++) {
      const at = random.below(bytes.length);
      const length = 1 + random.below(bytes.length - at);
      const part = await readBytes(device, BigInt(at), length, Buffer.alloc(length));
      assert.ok(
        part.equals(bytes.subarray(at, at + length)),
        `${length} bytes of ${path} at ${at}`,
      );
    }
    let at = 0;
    for (const { length, zero } of await allExtents(device, 0n, bytes.length)) {
      const part = bytes.subarray(at, at + length);
      if (zero)
        assert.ok(
          part.every(byte => byte === 0),
          `${path} at ${at}`,
        );
      at += length;
    }
    assert.equal(at, bytes.length);
  }
}

/** What is asked of a file of another type. */
async function checkRefusals(tree: Tree): Promise<void> {
  const file = (await tree.find('/size-30')).node;
  const directory = (await tree.find('/etc')).node;
  await assert.rejects(file.list(), /no directory/);
  await assert.rejects(directory.open(), /no regular file/);
  await assert.rejects(directory.readlink(), /no symbolic link/);
  await assert.rejects(tree.find('/none'), { errno: 'ENOENT' });
  await assert.rejects(tree.find('/size-30/none'), /no directory/);
}

async function checkPaths(tree: Tree): Promise<void> {
  const pathOf = async (path: string) => (await tree.find(path)).path;
  for (const path of [
    '/link',
    '/absolute',
    '/a/outward',
    '/long-link',
    '//etc/../../etc/./hostname',
  ]) {
    assert.equal(await pathOf(path), '/etc/hostname', path);
  }
  await assert.rejects(tree.find('/loop-1'), /too many levels/);
  assert.equal((await tree.find('/link', { follow: false })).node.stat.type, 'symlink');
}

/** An image of which the end is missing fails with an error of the reader, and with no other. */
async function checkShortened(device: BlockDevice): Promise<void> {
  for (const share of [2n, 50n]) {
    const size = device.size / share;
    const short: BlockDevice = {
      size,
      read: (at, length, options) => device.read(at, length, options),
    };
    await survive(short);
  }
}

/** Reads all that can be read of what may be damaged. @returns files that were read. */
export async function survive(device: BlockDevice): Promise<number> {
  const content = await probe(device);
  if (content.kind !== 'filesystem') return 0;
  let count = 0;
  const failed = (_path: string, error: unknown) => {
    assert.ok(error instanceof BlockError, String((error as Error).stack));
  };
  try {
    const system = await content.format.open(device);
    await system.usage();
    const tree = new Tree([{ path: '/', fileSystem: system }]);
    for await (const place of tree.walk(await tree.find('/'), { failed })) {
      if (count++ > 2000) break;
      await readPlace(place).catch(error => failed(place.path, error));
    }
  } catch (error) {
    failed('/', error);
  }
  return count;
}

const SOME = 1 << 16;

async function readPlace({ node }: Place): Promise<void> {
  await node.attributes?.();
  if (node.stat.type === 'symlink') await node.readlink();
  if (node.stat.type !== 'file') return;
  const file = await node.open();
  if (file.size === 0n) return;
  const length = file.size < BigInt(SOME) ? Number(file.size) : SOME;
  for (const at of [0n, file.size - BigInt(length)])
    assert.equal(byteLength(await file.read(at, length)), length);
  const runs = (await file.extents?.(0n, length)) ?? [];
  assert.ok(runs.every(run => run.length > 0));
}
