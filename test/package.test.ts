/** The package as it is published: what it exports, from ES modules and CommonJS, with types. */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { test } from 'node:test';
import { run, runWell } from './interop/programs.ts';
import { temporaryFolder } from './peer/wire.ts';

const root = resolve(import.meta.dirname, '..');
const { dependencies, exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));

const PROGRAM = `\
import { BlockError, connect, serve } from 'nbdpipe';
import { BlockError as SameError, definePlugin, sourceOf, zeroes } from 'nbdpipe/plugin';
import { deviceContract, openPlugin } from 'nbdpipe/testing';

const plugin = definePlugin({
  name: 'mine',
  description: 'a disk',
  parameters: { size: { type: 'size', required: true, help: 'Size' } },
  create: ({ size }) => sourceOf(() => ({ size, read: (_offset, length) => zeroes(length) })),
});
deviceContract('mine', () => openPlugin(plugin, 'size=1M'), { writes: 'none' });
const server = await serve(await openPlugin(plugin, 'size=512'), { listen: { port: 0 } });
const client = await connect(server.uri);
if (client.size !== 512n || BlockError !== SameError) throw new Error('not as it should be');
await client.close();
await server.close();
`;

test('a program finds it all in the tarball, with types', async t => {
  const folder = temporaryFolder(t);
  const options = { cwd: folder, env: { NODE_TEST_CONTEXT: '' } };
  const words = ['pack', root, '--ignore-scripts', '--silent'];
  const tarball = (await runWell('npm', words, options)).trim();
  const place = join(folder, 'node_modules/nbdpipe');
  mkdirSync(place, { recursive: true });
  await runWell('tar', ['-xzf', tarball, '-C', place, '--strip-components=1'], options);
  for (const name of [...Object.keys(dependencies), '@types']) {
    const link = join(folder, 'node_modules', name);
    mkdirSync(dirname(link), { recursive: true });
    symlinkSync(join(root, 'node_modules', name), link);
  }
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
  writeFileSync(join(folder, 'program.ts'), PROGRAM);
  const tsc = join(root, 'node_modules/typescript/bin/tsc');
  const flags = '--strict --module nodenext --target es2023 --types node --skipLibCheck false';
  const compiled = await run(process.execPath, [tsc, ...flags.split(' '), 'program.ts'], options);
  assert.equal(compiled.status, 0, compiled.stdout);
  const said = await runWell(process.execPath, ['program.js'], options);
  assert.match(said, /^# pass [1-9]\d*\n# fail 0$/m);

  const entries = Object.keys(exports).filter(entry => !entry.endsWith('.json'));
  const required = entries.map(entry => `require('${entry.replace('.', 'nbdpipe')}')`).join();
  writeFileSync(join(folder, 'program.cjs'), `if ([${required}].some(all => !all)) throw 1;`);
  await runWell(process.execPath, ['program.cjs'], options);
});

test('what only tests need is in no other module of the package', () => {
  const dist = join(root, 'dist');
  const users = readdirSync(dist).filter(
    name => name.endsWith('.cjs') && readFileSync(join(dist, name), 'utf8').includes('node:test'),
  );
  assert.deepEqual(users, ['testing.cjs']);
});
