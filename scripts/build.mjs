// Bundles the sources into a flat dist/: the commands, the library, and each plugin and filter as a
// module of its own that is loaded when it is named.
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, readdirSync, rmSync } from 'node:fs';
import { isAbsolute, join, resolve } from 'node:path';
import { build } from 'rolldown';

const root = resolve(import.meta.dirname, '..');
const source = join(root, 'src');
const dist = join(root, 'dist');
/** The rooms of a floor: NAME/NAME.ts, as module name and file. */
const roomsOf = (floor, prefix = '') =>
  readdirSync(join(source, floor))
    .map(name => [prefix + name, join(source, floor, name, `${name}.ts`)])
    .filter(([, file]) => existsSync(file));

const commands = roomsOf('tools');
const entries = {
  index: join(source, 'index.ts'),
  plugin: join(source, 'plugin.ts'),
  ...Object.fromEntries([
    ...commands,
    ...roomsOf('plugins', 'plugin-'),
    ...roomsOf('filters', 'filter-'),
  ]),
};

rmSync(dist, { recursive: true, force: true });
await build({
  cwd: root,
  input: entries,
  platform: 'node',
  external: id => !id.startsWith('.') && !isAbsolute(id),
  output: {
    dir: dist,
    format: 'esm',
    banner: '#!/usr/bin/env node',
    minify: { compress: true, mangle: false, codegen: { removeWhitespace: true } },
    // Each module file costs a command about half a millisecond at its start.
    codeSplitting: {
      groups: [
        { name: 'server', priority: 1, test: /\/src\/server\// },
        { name: 'client', priority: 1, test: /\/src\/client\/(?!command)/ },
        {
          name: 'core',
          priority: 2,
          test: /\/src\/(block\/(?!keystream)|declare|protocol|transport|tools\/[^/]+\.ts|posix\/(libc|socket-io))/,
        },
      ],
    },
  },
});
for (const [name] of commands) chmodSync(join(dist, `${name}.js`), 0o755);

const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
const declarations = spawnSync(process.execPath, [tsc, '-p', 'tsconfig.build.json'], {
  cwd: root,
  stdio: 'inherit',
});
process.exitCode = declarations.status ?? 1;
