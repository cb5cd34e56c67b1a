// Bundles the sources into a flat dist/: the commands, the library, and each plugin and filter as a
// module of its own that is loaded when it is named.
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, readdirSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { build } from 'esbuild';

const root = resolve(import.meta.dirname, '..');
const source = join(root, 'src');
const dist = join(root, 'dist');
const foldersOf = folder => (existsSync(join(source, folder)) ? readdirSync(join(source, folder)) : []);

const commands = foldersOf('tools').filter(name => existsSync(join(source, 'tools', name, `${name}.ts`)));
const entries = {
  index: join(source, 'index.ts'),
  plugin: join(source, 'plugin.ts'),
  ...Object.fromEntries(commands.map(name => [name, join(source, 'tools', name, `${name}.ts`)])),
};
for (const kind of ['plugin', 'filter']) {
  for (const name of foldersOf(`${kind}s`)) {
    entries[`${kind}-${name}`] = join(source, `${kind}s`, name, `${name}.ts`);
  }
}

rmSync(dist, { recursive: true, force: true });
await build({
  entryPoints: entries,
  outdir: dist,
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  packages: 'external',
  chunkNames: 'chunk-[hash]',
  banner: { js: '#!/usr/bin/env node' },
  minify: false,
  logLevel: 'warning',
});
for (const name of commands) chmodSync(join(dist, `${name}.js`), 0o755);

const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
const declarations = spawnSync(process.execPath, [tsc, '-p', 'tsconfig.build.json'], {
  cwd: root,
  stdio: 'inherit',
});
process.exitCode = declarations.status ?? 1;
