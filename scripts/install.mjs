// `npm run test:install`: packs, installs the tarball with its dependencies from the registry in an empty
// folder, and type-checks and runs a program there, as whoever finds the package would.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import process from 'node:process';

const root = resolve(import.meta.dirname, '..');
const folder = mkdtempSync(join(tmpdir(), 'nbdpipe-install-'));

const PROGRAM = `\
import { compare, copy, open, serve } from 'nbdpipe';

const pattern = await open(['node_modules/.bin/nbdkit', 'pattern', '1M']);
const server = await serve(pattern.device, { listen: { port: 0, host: 'localhost' } });
const from = await open(server.uri);
const to = await open(['node_modules/.bin/nbdkit', 'memory', '1M']);
await copy(from, to, { flush: true });
await compare(from, to);
console.log((await to.read(8, 8)).toString('hex'));
for (const each of [from, to, server, pattern]) await each.close();
`;

function run(command, ...args) {
  const options = { cwd: folder, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] };
  const { status, stdout } = spawnSync(command, args, options);
  if (status === 0) return stdout.trim();
  console.error(`${command} ${args.join(' ')}: status ${status}\n${stdout}`);
  process.exit(1);
}

process.on('exit', () => rmSync(folder, { recursive: true }));
writeFileSync(join(folder, 'package.json'), '{ "type": "module", "private": true }');
writeFileSync(join(folder, 'program.ts'), PROGRAM);
const tarball = run('npm', 'pack', root, '--silent').split('\n').at(-1);
run('npm', 'install', '--silent', `./${tarball}`, '@types/node@20', 'typescript@5');
const common = [
  'tsc',
  '--strict',
  '--target',
  'es2022',
  '--types',
  'node',
  '--skipLibCheck',
  'false',
];
for (const modules of [
  ['--module', 'esnext', '--moduleResolution', 'bundler'],
  ['--module', 'node16', '--moduleResolution', 'node16'],
]) {
  run('npx', ...common, ...modules, 'program.ts');
  const said = run(process.execPath, 'program.js');
  if (said !== '0000000000000008') throw new Error(`it says ${said}`);
  console.log(`${modules.join(' ')}: good`);
}
