import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Content, treeOf } from '../../../test/files/made-up.ts';
import type { Tree } from './tree.ts';

const pathOf = async (tree: Tree, path: string) => (await tree.find(path)).path;

async function walked(tree: Tree): Promise<string[]> {
  const paths: string[] = [];
  for await (const { path } of tree.walk(await tree.find('/'))) paths.push(path);
  return paths;
}

test('links and .. stay inside', async () => {
  const tree = treeOf({
    etc: { passwd: 'x' },
    a: { b: { up: { link: '../../../../etc' }, root: { link: '/' } } },
    abs: { link: '/a/b/up/passwd' },
  });
  assert.equal(await pathOf(tree, '/../../etc/./passwd'), '/etc/passwd');
  assert.equal(await pathOf(tree, 'abs'), '/etc/passwd');
  assert.equal(await pathOf(tree, '/a/b/root/a/b/up'), '/etc');
  await assert.rejects(tree.find('/abs/x'), /\/etc\/passwd is no directory/);
});

test('links without an end, and ones that grow', async () => {
  const tree = treeOf({
    a: { link: 'b' },
    b: { link: 'a' },
    long: { link: `${'./'.repeat(9000)}long` },
  });
  await assert.rejects(tree.find('/a'), /too many levels of symbolic links/);
  await assert.rejects(tree.find('/long'), /the path has no end/);
});

test('file systems in each other', async () => {
  const tree = treeOf(
    { home: { hidden: 'x' }, z: 'x' },
    { '/home': { me: { f: 'x' } }, '/home/me/deep': { g: 'x' } },
  );
  assert.equal((await tree.find('/home/me/f')).mount.path, '/home');
  await assert.rejects(tree.find('/home/hidden'), { errno: 'ENOENT' });
  assert.deepEqual(await walked(tree), ['/', '/home', '/home/me', '/home/me/f', '/z']);
});

test('the order of bytes, and a directory in two places', async () => {
  const tree = treeOf({ b: 'x', a: { z: 'x' }, 'a-': 'x', '\udcff': 'x', ü: 'x' });
  assert.deepEqual(await walked(tree), ['/', '/a', '/a/z', '/a-', '/b', '/ü', '/\udcff']);
  const loop: { [name: string]: Content } = {};
  loop.again = loop;
  await assert.rejects(walked(treeOf(loop)), /is in two places/);
});

test('a slash in a name is none of the path', async () => {
  assert.deepEqual(await walked(treeOf([['../x', 'x']])), ['/', '/..\u2215x']);
});
