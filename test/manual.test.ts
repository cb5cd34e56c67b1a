/** The manual pages in the package. They are made by the build. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
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

/** What man makes of a page, and what it complains about. */
function shown(page: string) {
  const { stdout, stderr } = spawnSync('man', ['--warnings', join(root, page)], {
    encoding: 'utf8',
    env: { ...process.env, MANWIDTH: '100', MANPAGER: 'cat', LC_ALL: 'C.UTF-8' },
  });
  return { stdout, stderr };
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

describe('man shows each page without complaint', () => {
  for (const page of manifest.man as string[]) {
    test(basename(page), (t: TestContext) => {
      if (!has(t, 'man', 'groff')) return;
      const { stdout, stderr } = shown(page);
      const name = basename(page, '.1');
      assert.equal(stderr, '');
      assert.match(stdout, new RegExp(`^NAME\\n +${name} +- +\\w.*\\n\\nSYNOPSIS\\n`, 'ms'));
      assert.match(stdout, /^DESCRIPTION$/m);
      assert.doesNotMatch(stdout, / \*\*|`/);
    });
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
