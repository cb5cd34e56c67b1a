/** A new member of the contract must not compile until every place that has to decide has decided. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, test } from 'node:test';

const root = resolve(import.meta.dirname, '../..');
const copy = mkdtempSync(join(tmpdir(), 'nbdpipe-types-'));
after(() => rmSync(copy, { recursive: true }));

for (const part of ['src', 'package.json', 'tsconfig.json']) {
  const filter = (path: string) => !path.endsWith('.test.ts');
  cpSync(join(root, part), join(copy, part), { recursive: true, filter });
}
symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
const contract = join(copy, 'src/block/device.ts');
const original = readFileSync(contract, 'utf8');

/** The files that do not compile with one more line in an interface of the contract. */
function complaints(interfaceName: string, line: string): string[] {
  const head = `export interface ${interfaceName} {\n`;
  assert.ok(original.includes(head), interfaceName);
  writeFileSync(contract, original.replace(head, `${head}${line}\n`));
  const tsc = join(copy, 'node_modules/typescript/bin/tsc');
  const options = { cwd: copy, encoding: 'utf8' } as const;
  const { stdout } = spawnSync(process.execPath, [tsc, '-p', '.'], options);
  const files = stdout.matchAll(/^(src\/[^(]+)\(/gm);
  return [...new Set([...files].map(([, file]) => file!))].sort();
}

test('the contract as it is compiles', () => {
  assert.deepEqual(complaints('BlockDevice', ''), []);
});

const METHOD = '  seal?(offset: bigint): void;';

test('one more method of a device: its form, and what filters have to do with it, must be said', () => {
  const places = ['src/block/well-formed.ts', 'src/block/wrap.ts'];
  assert.deepEqual(complaints('BlockDevice', METHOD), places);
});

test('and then everything that is made over other devices has to do it', () => {
  const wrap = join(copy, 'src/block/wrap.ts');
  const before = readFileSync(wrap, 'utf8');
  writeFileSync(
    wrap,
    before.replace("  read: 'decided',", "  seal: 'decided',\n  read: 'decided',"),
  );
  const files = complaints('BlockDevice', METHOD);
  writeFileSync(wrap, before);
  for (const name of ['wrap', 'checked', 'join', 'slice', 'aligned', 'serialise', 'reopen']) {
    assert.ok(files.includes(`src/block/${name}.ts`), `${name} is not among ${files}`);
  }
});

test('one more method of a source', () => {
  const files = complaints('DeviceSource', '  pause?(): void;');
  assert.ok(files.includes('src/block/source.ts'), `${files}`);
});
