// Bundles the sources into a flat dist/: the commands, the library, and each plugin and filter as a
// module of its own that is loaded when it is named. All of it is CommonJS, which starts 8 to 17 ms
// sooner; ES modules import the library through one that only names its exports, so that there is one
// copy of its classes.
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, isAbsolute, join, relative, resolve } from 'node:path';
import { build } from 'rolldown';
import { roffOf } from './roff.mjs';

const root = resolve(import.meta.dirname, '..');
const source = join(root, 'src');
const dist = join(root, 'dist');
/** The rooms of a floor: NAME/NAME.ts, as module name and file. */
const roomsOf = (floor, prefix = '') =>
  readdirSync(join(source, floor))
    .map(name => [prefix + name, join(source, floor, name, `${name}.ts`)])
    .filter(([, file]) => existsSync(file));

const commands = roomsOf('tools');
const library = ['index', 'plugin', 'testing'];
const entries = {
  thread: join(source, 'tools/nbdkit/thread.ts'),
  decoding: join(source, 'codecs/thread.ts'),
  hashing: join(source, 'copy/hash/thread.ts'),
  ...Object.fromEntries(library.map(name => [name, join(source, `${name}.ts`)])),
  ...Object.fromEntries([
    ...commands,
    ...roomsOf('plugins', 'plugin-'),
    ...roomsOf('filters', 'filter-'),
  ]),
};

/** Modules that commands need from the start, as no part of theirs is imported when it is used. */
const AT_START = new Set();
for (const name of ['nbdkit', 'nbdinfo', 'nbdcopy'])
  gather(join(source, 'tools', name, `${name}.ts`));

function gather(file) {
  if (AT_START.has(file)) return;
  AT_START.add(file);
  const imports = /^(?:import|export) (?!type)[^;]*? from '(\.[^']+)';/gm;
  for (const [, path] of readFileSync(file, 'utf8').matchAll(imports)) {
    gather(resolve(dirname(file), path));
  }
}

/** What nearly every command needs. */
const CORE =
  /^(block|declare|protocol|transport|tools\/(?!target|picture|status-map)[^/]+\.ts|posix\/(libc|socket-io)|stores\/arena)/;

/** Those whose paths match, as one module. */
function atStart(name, paths, priority = 1) {
  return { name, priority, test: id => AT_START.has(id) && paths.test(relative(source, id)) };
}

rmSync(dist, { recursive: true, force: true });
const { output } = await build({
  cwd: root,
  input: entries,
  platform: 'node',
  external: id => !id.startsWith('.') && !isAbsolute(id),
  output: {
    dir: dist,
    format: 'cjs',
    exports: 'named',
    entryFileNames: '[name].cjs',
    chunkFileNames: 'shared-[name]-[hash].cjs',
    banner: '#!/usr/bin/env node',
    minify: true,
    // Each module file costs a command about half a millisecond at its start.
    codeSplitting: {
      groups: [
        atStart('core', CORE, 3),
        atStart('server', /^server\//),
        atStart('copy', /^copy\//),
        atStart('client', /^(client\/(?!command)|tools\/target)/),
        { name: 'mechanisms', priority: 2, test: /\/src\/(block|declare)\// },
        { name: 'stores', priority: 1, test: /\/src\/stores\/file\/(?!image)/ },
      ],
    },
  },
});
// Programs in other languages, which plugins run.
for (const file of readdirSync(join(source, 'plugins'), { recursive: true })) {
  if (file.endsWith('.py')) copyFileSync(join(source, 'plugins', file), join(dist, basename(file)));
}
for (const [name] of commands) chmodSync(join(dist, `${name}.cjs`), 0o755);
for (const { name, fileName, exports } of output.filter(({ isEntry }) => isEntry)) {
  if (!library.includes(name)) continue;
  const text = `import library from './${fileName}';\nexport const { ${exports.join(', ')} } = library;\n`;
  writeFileSync(join(dist, `${name}.js`), text);
}

const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
mkdirSync(join(dist, 'man'));
const pages = pagesOf().map(([name, file]) => {
  const markdown = readFileSync(file, 'utf8');
  const page = join('dist', 'man', `${name}.1`);
  writeFileSync(join(root, page), roffOf(name, manifest.version, markdown));
  writeFileSync(join(dist, 'man', `${name}.md`), markdown);
  return `./${page}`;
});
if (String(pages) !== String(manifest.man)) {
  const text = JSON.stringify({ ...manifest, man: pages }, null, 2);
  writeFileSync(join(root, 'package.json'), `${text}\n`);
}

/** The manual pages of commands, plugins and filters: name and file. */
function pagesOf() {
  const beside = ([name, file]) => [name, file.replace(/\.ts$/, '.md')];
  const named = (kind, [name, file]) => [`nbdkit-${name}-${kind}`, file];
  return [
    ...commands.map(([name, file]) => {
      const page = join(root, 'docs', `${name}.md`);
      return existsSync(page) ? [name, page] : beside([name, file]);
    }),
    ...roomsOf('plugins')
      .map(beside)
      .map(page => named('plugin', page)),
    ...roomsOf('filters')
      .map(beside)
      .map(page => named('filter', page)),
  ];
}

const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
const declarations = spawnSync(process.execPath, [tsc, '-p', 'tsconfig.build.json'], {
  cwd: root,
  stdio: 'inherit',
});
process.exitCode = declarations.status ?? 1;
