/** The code in the documentation: it is type-checked against the built package, and run. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { after, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { ourCommands, run } from './interop/programs.ts';

const root = resolve(import.meta.dirname, '..');
const DOCS = ['README.md', 'docs/library.md', 'docs/plugin-guide.md'];
const TSX = ['--import', import.meta.resolve('tsx')];

const folder = mkdtempSync(join(tmpdir(), 'nbdpipe-docs-'));
after(() => rmSync(folder, { recursive: true }));
mkdirSync(join(folder, 'node_modules'));
symlinkSync(root, join(folder, 'node_modules/nbdpipe'));
symlinkSync(join(root, 'node_modules/@types'), join(folder, 'node_modules/@types'));

/** The fenced blocks of a page; code whose first line is a comment with a name is of that file. */
function blocksOf(page: string) {
  const text = readFileSync(join(root, page), 'utf8');
  return [...text.matchAll(/^```(\w+)\n(.*?)^```$/gms)].map(([, language, code], index) => ({
    language: language!,
    code: code!,
    name: /^\/\/ ([\w.-]+\.ts)\b/.exec(code!)?.[1] ?? `snippet-${index}.ts`,
  }));
}

const pages = DOCS.map(page => ({
  page,
  place: join(folder, basename(page, '.md')),
  blocks: blocksOf(page),
}));
for (const { place, blocks } of pages) {
  mkdirSync(place);
  for (const { language, code, name } of blocks) {
    if (language === 'ts') writeFileSync(join(place, name), code);
  }
}

test('all of it passes the type checker', async () => {
  const { compilerOptions } = JSON.parse(readFileSync(join(root, 'tsconfig.json'), 'utf8'));
  writeFileSync(
    join(folder, 'tsconfig.json'),
    JSON.stringify({ compilerOptions, include: ['*/*.ts'] }),
  );
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
  const tsc = join(root, 'node_modules/typescript/bin/tsc');
  const { stdout, status } = await run(process.execPath, [tsc, '-p', folder]);
  assert.equal(status, 0, stdout);
});

for (const { page, place, blocks } of pages) {
  const code = blocks.filter(({ language }) => language === 'ts').map(({ name }) => name);
  const programs = code.filter(name => name.startsWith('snippet-'));

  test(`the programs of ${page} run to their end`, async () => {
    assert.ok(code.length > 0);
    const imports = programs.map(name => `await import('${pathToFileURL(join(place, name))}');`);
    const argv = [...TSX, '--input-type=module', '-e', imports.join('\n')];
    const { status, stderr } = await run(process.execPath, argv, { cwd: place });
    assert.deepEqual([status, stderr], [0, '']);
  });

  test(`the commands of ${page} print what it says`, async t => {
    const { env } = ourCommands(t);
    for (const [index, { language, code: command }] of blocks.entries()) {
      if (language !== 'sh') continue;
      const script = `exec 2>&1\n${command}`;
      const { stdout } = await run('/bin/sh', ['-e', '-c', script], { cwd: place, env });
      const next = blocks[index + 1];
      const expected = next?.language === 'text' ? next.code.trimEnd() : '';
      assert.equal(stdout.trimEnd(), expected, command);
    }
  });

  for (const name of code.filter(each => each.endsWith('.test.ts'))) {
    test(`${name} of ${page} passes`, async () => {
      const env = { NODE_TEST_CONTEXT: '' };
      const { status, stdout } = await run(process.execPath, [...TSX, name], { cwd: place, env });
      assert.equal(status, 0, stdout);
      assert.match(stdout, /^# pass [1-9]/m);
    });
  }
}
