import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { checkDeclaration } from '../src/declare/check.ts';
import type { FilterDeclaration, PluginDeclaration } from '../src/declare/declare.ts';
import { OPTIONS } from '../src/tools/nbdkit/options.ts';

const root = resolve(import.meta.dirname, '..');
/** The formatter pads tables. */
const tables = (kind: string) =>
  readFileSync(join(root, `docs/${kind}s.md`), 'utf8').replace(/ +/g, ' ');
const HEADINGS = ['Name', 'Synopsis', 'Description', 'Parameters', 'Examples', 'Errors', 'Since'];

for (const kind of ['plugin', 'filter'] as const) {
  for (const name of readdirSync(join(root, 'src', `${kind}s`))) {
    const folder = join(root, 'src', `${kind}s`, name);
    if (!existsSync(join(folder, `${name}.ts`))) continue;

    test(`the page of the ${name} ${kind} agrees with its declaration`, async () => {
      const page = readFileSync(join(folder, `${name}.md`), 'utf8');
      const module = await import(join(folder, `${name}.ts`));
      const declaration: PluginDeclaration | FilterDeclaration = module.default;
      checkDeclaration(kind, declaration);
      assert.equal(declaration.name, name);
      assert.equal(page.split('\n')[0], `# nbdkit ${name} ${kind}`);
      const headings = [...page.matchAll(/^## (.*)$/gm)].map(([, heading]) => heading);
      assert.deepEqual(headings, HEADINGS);
      const parameters = page.slice(page.indexOf('## Parameters'), page.indexOf('## Examples'));
      for (const key of Object.keys(declaration.parameters)) {
        assert.ok(parameters.includes(key), `the parameter ${key} is not described`);
      }
      const line = `| [${name}](../src/${kind}s/${name}/${name}.md) | ${declaration.description} |`;
      assert.ok(tables(kind).includes(line), `docs/${kind}s.md lacks: ${line}`);
    });
  }
}

test('the page of nbdkit names every option', () => {
  const page = readFileSync(join(root, 'docs/nbdkit.md'), 'utf8');
  for (const [key, { names, ...form }] of Object.entries(OPTIONS)) {
    if ('hidden' in form && form.hidden) continue;
    for (const name of names) {
      const option = name.length === 1 ? `-${name}` : `--${name}`;
      assert.match(page, new RegExp(`${option}[\`\\[= ]`), `${key}: ${option}`);
    }
  }
});
