/** Plugins and filters of one's own: files, packages, scripts, and what is said of their mistakes. */
import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { after, describe, test } from 'node:test';
import { run } from '../../../test/interop/programs.ts';
import { builtOf, sourcesOf } from '../../../test/peer/command.ts';

const folder = mkdtempSync(join(tmpdir(), 'nbdpipe-own-'));
after(() => rmSync(folder, { recursive: true }));

function write(name: string, text: string): string {
  const path = join(folder, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
  return path;
}

const COMMANDS = { built: builtOf('nbdkit'), sources: sourcesOf('nbdkit') };
const SHOW = `'${process.execPath}' '${builtOf('nbdinfo')}' --size "$uri"`;

const nbdkit = (command: readonly string[], ...argv: string[]) =>
  run(process.execPath, [...command, ...argv], { cwd: folder });

/** A plugin with TypeScript that is more than types, and what else is in its create and its device. */
const plugin = (create = '', device = 'size,', parameter = "type: 'size'") => `\
#!/usr/bin/env -S nbdkit
import { BlockError, definePlugin, sourceOf, zeroes } from 'nbdpipe/plugin';
enum Length { Sector = 512 }
export default definePlugin({
  name: 'mine',
  description: 'a disk',
  parameters: { size: { ${parameter}, bare: true, default: \`\${Length.Sector}\`, help: 'Size' } },
  create: ({ size }) => {
    ${create}
    return sourceOf(() => ({ ${device} read: (_offset: bigint, length: number) => zeroes(length) }));
  },
});
`;
write('mine.ts', plugin());
write(
  'half.ts',
  `import { defineFilter, sliceDevice } from 'nbdpipe';
  export default defineFilter({
    name: 'half', description: 'the first half', parameters: {},
    wrap: below => sliceDevice(below, 0n, below.size / 2n),
  });`,
);
write('node_modules/my-disk/package.json', '{ "type": "module", "exports": "./disk.ts" }');
write('node_modules/my-disk/disk.ts', plugin());
write('node_modules/@me/disk/package.json', '{ "main": "disk.cjs" }');
write(
  'node_modules/@me/disk/disk.cjs',
  `const { definePlugin, sourceOf, zeroes } = require('nbdpipe/plugin');
  const read = (_offset, length) => zeroes(length);
  module.exports = definePlugin({
    name: 'disk', description: 'a disk', parameters: {},
    create: () => sourceOf(() => ({ size: 1024n, read })),
  });`,
);

const SERVED: [command: readonly string[], words: string[], size: string][] = [
  [COMMANDS.sources, ['--filter=./half.ts', './mine.ts', '1M'], '524288'],
  [COMMANDS.built, ['--filter=./half.ts', './mine.ts'], '256'],
  [COMMANDS.built, ['my-disk', 'size=4096'], '4096'],
  [COMMANDS.built, ['@me/disk'], '1024'],
  [
    COMMANDS.built,
    ['--filter=/c/filters/nbdkit-offset-filter.so', '/c/nbdkit-null-plugin.so', '1M', 'offset=1k'],
    '1047552',
  ],
];

describe('they are served', { concurrency: 4 }, () => {
  for (const [command, words, size] of SERVED) {
    test(words.join(' '), async () => {
      const { stdout, stderr } = await nbdkit(command, ...words, '--run', SHOW);
      assert.deepEqual([stdout, stderr], [`${size}\n`, '']);
    });
  }
});

test('a script whose first line is nbdkit', { skip: process.platform === 'win32' }, async () => {
  chmodSync(join(folder, 'mine.ts'), 0o755);
  symlinkSync(COMMANDS.built[0]!, join(folder, 'nbdkit'));
  const PATH = [folder, dirname(process.execPath), process.env.PATH].join(delimiter);
  const options = { cwd: folder, env: { PATH } };
  const { stdout, stderr } = await run('./mine.ts', ['size=1M', '--run', SHOW], options);
  assert.deepEqual([stdout, stderr], ['1048576\n', '']);
});

write('sizes.ts', plugin('', 'size,', "type: 'sizes'"));
write('number.ts', plugin('', 'size: 512,'));
write('bug.ts', plugin('(undefined as any).nothing;'));
write('syntax.ts', 'const x: = 3;');
write('missing.ts', 'import "not-there";');
write('thrown.ts', 'throw new Error("not today");');

const MISTAKES: [words: string[], said: RegExp][] = [
  [['./sizes.ts'], /^nbdkit: error: \.\/sizes\.ts: parameters\.size\.type: 'sizes' is none of .*$/],
  [['./syntax.ts'], /^nbdkit: error: \.\/syntax\.ts: cannot be loaded: .*syntax\.ts:1:9$/],
  [
    ['./missing.ts'],
    /^nbdkit: error: \.\/missing\.ts: cannot be loaded: Cannot find module 'not-there'$/,
  ],
  [['./thrown.ts'], /^nbdkit: error: \.\/thrown\.ts: cannot be loaded: not today$/],
  [['./bug.ts'], /^nbdkit: mine: error: Cannot read properties of undefined.*$/],
  [['my-dsk'], /^nbdkit: error: unknown plugin 'my-dsk': .*$/],
  [['@me/dsk'], /^nbdkit: error: unknown plugin '@me\/dsk': .*$/],
  [['fs'], /^nbdkit: error: unknown plugin 'fs': .*$/],
  [['--filter=./mine.ts', 'null'], /^nbdkit: error: \.\/mine\.ts: is a plugin, not a filter$/],
  [['./half.ts'], /^nbdkit: error: \.\/half\.ts: is a filter, not a plugin$/],
];

describe('what is wrong is one line', { concurrency: 4 }, () => {
  for (const [words, said] of MISTAKES) {
    test(words.join(' '), async () => {
      const { status, stderr } = await nbdkit(COMMANDS.built, ...words, '--run', 'true');
      assert.match(stderr.replace(/\n$/, ''), said);
      assert.equal(status, 1);
    });
  }
});

test('what a device gets wrong is one line, at the server and at the client', async () => {
  const words = ['--filter=./half.ts', './number.ts', '--run', SHOW];
  const { stderr } = await nbdkit(COMMANDS.built, ...words);
  const [server, client, ...rest] = stderr.trimEnd().split('\n');
  const fault = 'the device of mine: size must be a bigint from 0 to 2^63-1, not the number 512';
  assert.equal(server, `nbdkit: mine[1]: error: ${fault}`);
  assert.ok(client!.includes(fault), client);
  assert.deepEqual(rest, []);
});

test('with -v the stack of what create throws is there, too', async () => {
  const { stderr } = await nbdkit(COMMANDS.built, '-v', './bug.ts', '--run', 'true');
  assert.match(stderr, /^nbdkit: mine: debug: at .*bug\.ts:\d+/m);
});
