/** The manual pages in the package. They are made by the build. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { type TestContext, test } from 'node:test';
import { has } from './interop/programs.ts';

const root = resolve(import.meta.dirname, '..');
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const rooms = (kind: string) =>
  readdirSync(join(root, 'src', kind)).filter(name =>
    existsSync(join(root, 'src', kind, name, `${name}.ts`)),
  );

test('the built commands know the plugins and filters that there are, and nothing else', () => {
  const words = [join(root, 'dist/nbdkit.cjs'), '--help'];
  const { stdout } = spawnSync(process.execPath, words, { encoding: 'utf8' });
  for (const kind of ['plugin', 'filter']) {
    const [, names] = new RegExp(`^${kind}s: (.*)$`, 'm').exec(stdout)!;
    assert.deepEqual(names!.split(' ').sort(), rooms(`${kind}s`).sort());
  }
});

/** What groff makes of the pages, as man has it, and what it complains about. */
function allShown() {
  const words = ['-k', '-t', '-man', '-Tutf8', '-ww', '-rLL=100n', '-rcR=1', '-P-cbou'];
  const { stdout, stderr } = spawnSync('groff', [...words, ...manifest.man], {
    encoding: 'utf8',
    cwd: root,
    maxBuffer: 1 << 26,
  });
  return { pages: stdout.split(/^(?=NAME$)/m).slice(1), complaints: stderr };
}

test('package.json names a page for every command, plugin and filter', () => {
  const expected = [
    ...rooms('tools'),
    ...rooms('plugins').map(name => `nbdkit-${name}-plugin`),
    ...rooms('filters').map(name => `nbdkit-${name}-filter`),
  ].map(name => `./dist/man/${name}.1`);
  assert.deepEqual(manifest.man, expected, 'npm run build writes this list');
  assert.deepEqual(Object.keys(manifest.bin).sort(), rooms('tools').sort());
});

test('man shows each page without complaint', (t: TestContext) => {
  if (!has(t, 'groff')) return;
  const { pages, complaints } = allShown();
  assert.equal(complaints, '');
  assert.equal(pages.length, manifest.man.length);
  for (const [index, text] of pages.entries()) {
    const name = basename(manifest.man[index], '.1');
    assert.match(text, new RegExp(`^NAME\\n +${name} +- +\\w.*\\n\\nSYNOPSIS\\n`, 's'));
    assert.match(text, /^DESCRIPTION$/m, name);
    assert.doesNotMatch(text, / \*\*|`/, name);
  }
});

for (const words of [['memory', '--man'], ['offset', '--man'], ['--man']]) {
  test(`nbdkit ${words.join(' ')}`, () => {
    const { status, stdout } = spawnSync('node', [join(root, 'dist/nbdkit.cjs'), ...words], {
      encoding: 'utf8',
    });
    assert.equal(status, 0);
    assert.match(stdout, words[1] ? new RegExp(`nbdkit[ -]${words[0]}[ -]`) : /nbdkit/);
    assert.match(stdout, /synopsis/i);
  });
}

test('where there is no man, the page is printed as it was written', () => {
  const program = [join(root, 'dist/nbdinfo.cjs'), '--man'];
  const env = { PATH: '/nowhere' };
  const { status, stdout } = spawnSync(process.execPath, program, { encoding: 'utf8', env });
  assert.equal(status, 0);
  assert.equal(stdout, readFileSync(join(root, 'docs/nbdinfo.md'), 'utf8'));
});
