import assert from 'node:assert/strict';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { type Content, treeOf } from '../../../test/files/made-up.ts';
import { temporaryFolder } from '../../../test/peer/wire.ts';
import { Copier } from './copier.ts';
import { Failures } from './failures.ts';

/** The status, and what was complained of. */
async function copying(folder: string, content: Content) {
  const tree = treeOf(content);
  const said: string[] = [];
  const speaker = { program: 'test', tell: (line: string) => void said.push(line) };
  const failures = new Failures(speaker);
  await new Copier(speaker, tree, failures).copy(await tree.find('/'), Buffer.from(folder));
  return { status: failures.status(0), said };
}

const copied = async (folder: string, content: Content) => (await copying(folder, content)).status;

test('files, directories and links, with what is said of them', async t => {
  const folder = temporaryFolder(t);
  const content = { d: { f: 'text' }, l: { link: '/nowhere' }, zero: '\0'.repeat(200_000) };
  assert.equal(await copied(folder, content), 0);
  assert.equal(readFileSync(join(folder, 'd/f'), 'utf8'), 'text');
  assert.equal(readlinkSync(join(folder, 'l')), '/nowhere');
  assert.equal(lstatSync(join(folder, 'd/f')).mode & 0o7777, 0o640);
  assert.equal(lstatSync(join(folder, 'd/f')).mtimeMs, 1_000_000);
  assert.equal(lstatSync(join(folder, 'zero')).size, 200_000);
  assert.equal(await copied(folder, content), 0, 'once more over it');
});

test('times before 1970', async t => {
  const folder = temporaryFolder(t);
  assert.equal(await copied(folder, { f: -5 }), 0);
  assert.equal(lstatSync(join(folder, 'f')).mtimeMs, -5000);
});

test('names that lead out of the folder', async t => {
  const outer = temporaryFolder(t);
  const folder = join(outer, 'in');
  mkdirSync(folder);
  const content = [
    ['..', { evil: 'x' }],
    ['.', 'x'],
    ['../evil', 'x'],
    ['/evil', 'x'],
    ['a\0b', 'x'],
    ['good', 'x'],
  ] as const;
  const { status, said } = await copying(folder, content);
  assert.equal(status, 1);
  assert.ok(said.includes('test: /..: its name is unsafe here\n'), said.join(''));
  assert.deepEqual(readdirSync(outer), ['in']);
  assert.ok(!existsSync('/evil'));
  assert.ok(existsSync(join(folder, 'good')));
});

test('a link and a directory of the same name', async t => {
  const outer = temporaryFolder(t);
  const folder = join(outer, 'in');
  mkdirSync(folder);
  mkdirSync(join(outer, 'target'));
  for (const content of [
    [
      ['a', { link: join(outer, 'target') }],
      ['a', { evil: 'x' }],
    ],
    [
      ['a', { inner: 'x' }],
      ['a', { link: join(outer, 'target') }],
    ],
  ] as const) {
    assert.equal(await copied(folder, content), 1);
    assert.deepEqual(readdirSync(join(outer, 'target')), []);
  }
});

test('what is there already is replaced and not followed', async t => {
  const folder = temporaryFolder(t);
  writeFileSync(join(folder, 'victim'), 'keep');
  symlinkSync('victim', join(folder, 'f'));
  assert.equal(await copied(folder, { f: 'new' }), 0);
  assert.equal(readFileSync(join(folder, 'victim'), 'utf8'), 'keep');
  assert.equal(readFileSync(join(folder, 'f'), 'utf8'), 'new');
});

test('a directory that is in two places', async t => {
  const loop: { [name: string]: Content } = { f: 'x' };
  loop.again = loop;
  assert.equal(await copied(temporaryFolder(t), loop), 1);
});
