import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { has, runWell } from '../../../../test/interop/programs.ts';
import { temporaryFolder } from '../../../../test/peer/wire.ts';
import { constantDevice } from '../../../block/constant.ts';
import { contiguous } from '../../../block/data.ts';
import { aclBytes } from '../posix-acl.ts';
import { Tree } from '../tree.ts';
import { ext } from './ext.ts';

const BLOCK = 1024;
const OLD = Buffer.alloc(3 * BLOCK, 'o');

/** An image with the file /f of three blocks, and the number of its first. */
async function imageOf(t: TestContext, features = 'metadata_csum') {
  if (!has(t, 'mke2fs', 'debugfs')) return undefined;
  const folder = temporaryFolder(t);
  const [tree, image] = [join(folder, 'tree'), join(folder, 'image')];
  mkdirSync(tree);
  writeFileSync(join(tree, 'f'), OLD);
  const options = ['-q', '-F', '-t', 'ext4', '-b', String(BLOCK), '-O', features, '-d', tree];
  await runWell('mke2fs', [...options, image, '6M']);
  const debug = async (...lines: readonly string[]) => {
    const script = join(folder, 'script');
    writeFileSync(script, `${lines.join('\n')}\nquit\n`);
    return runWell('debugfs', ['-w', '-f', script, image]);
  };
  const block = Number(/^(\d+) /m.exec(await debug('blocks /f'))![1]);
  const fresh = join(folder, 'fresh');
  writeFileSync(fresh, Buffer.alloc(BLOCK, 'N'));
  return { image, debug, block, fresh };
}

async function contentOf(bytes: Buffer): Promise<string> {
  const fileSystem = await ext.open(constantDevice(bytes));
  const { node } = await new Tree([{ path: '/', fileSystem }]).find('/f');
  return Buffer.from(contiguous(await (await node.open()).read(0n, OLD.length))).toString();
}

const REPLAYED = 'N'.repeat(BLOCK) + 'o'.repeat(2 * BLOCK);

for (const [name, features, open] of [
  ['with checksums', 'metadata_csum,64bit', 'jo -c'],
  ['without', '^metadata_csum,^64bit', 'jo'],
] as const) {
  test(`what is in the journal alone is read from there: ${name}`, async t => {
    const made = await imageOf(t, features);
    if (!made) return;
    const { image, debug, block, fresh } = made;
    await debug(open, `jw -b ${block} ${fresh}`, 'jc');
    const before = readFileSync(image);
    assert.equal(before.toString('latin1', block * BLOCK, block * BLOCK + 1), 'o');
    assert.equal(await contentOf(before), REPLAYED);
    await debug('jo', `jw -r ${block}`, 'jc');
    assert.equal(await contentOf(readFileSync(image)), OLD.toString(), 'revoked');
  });
}

test('a transaction whose block is damaged is none', async t => {
  const made = await imageOf(t);
  if (!made) return;
  const { image, debug, block, fresh } = made;
  await debug('jo -c', `jw -b ${block} ${fresh}`, 'jc');
  const bytes = readFileSync(image);
  const at = bytes.indexOf(Buffer.alloc(BLOCK, 'N'));
  bytes[at + 5] = 0;
  assert.equal(await contentOf(bytes), OLD.toString());
});

test('extended attributes, in the inode and in a block', async t => {
  const made = await imageOf(t);
  if (!made) return;
  const large = 'x'.repeat(300);
  await made.debug('ea_set /f user.small 1', `ea_set /f user.large ${large}`);
  const fileSystem = await ext.open(constantDevice(readFileSync(made.image)));
  const { node } = await new Tree([{ path: '/', fileSystem }]).find('/f');
  const found = [...(await node.attributes!())].map(([name, value]) => [name, value.toString()]);
  assert.deepEqual(Object.fromEntries(found), { 'user.small': '1', 'user.large': large });
});

test('what is damaged is named', async t => {
  const made = await imageOf(t);
  if (!made) return;
  const whole = readFileSync(made.image);
  const damaged = (at: number, value: number) => {
    const bytes = Buffer.from(whole);
    bytes[at] = value;
    return ext.open(constantDevice(bytes));
  };
  await assert.rejects(
    damaged(1024 + 24, 77),
    /^BlockError: ext: superblock: its checksum is wrong/,
  );
  await assert.rejects(damaged(2048 + 8, 1), /ext: group descriptor 0: its checksum is wrong/);
  const unsummed = await imageOf(t, '^metadata_csum');
  const bytes = readFileSync(unsummed!.image);
  bytes[1024 + 96]! |= 1;
  await assert.rejects(ext.open(constantDevice(bytes)), {
    errno: 'ENOTSUP',
    message: /compression/,
  });
});

test('an access control list as the kernel gives it', async t => {
  const made = await imageOf(t);
  if (!made) return;
  const list = aclBytes([
    { tag: 1, permissions: 6, id: 0 },
    { tag: 2, permissions: 4, id: 70_000 },
    { tag: 4, permissions: 4, id: 0 },
    { tag: 16, permissions: 6, id: 0 },
    { tag: 32, permissions: 0, id: 0 },
  ]);
  const name = 'system.posix_acl_access';
  writeFileSync(made.fresh, list);
  await made.debug(`ea_set -f ${made.fresh} /f ${name}`);
  const bytes = readFileSync(made.image);
  assert.equal(bytes.indexOf(list), -1, 'it is kept in another form');
  const fileSystem = await ext.open(constantDevice(bytes));
  const { node } = await new Tree([{ path: '/', fileSystem }]).find('/f');
  assert.deepEqual((await node.attributes!()).get(name), list);
});
