import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { UsageError } from '../block/errors.ts';
import { joinBrackets, oneLine, parseCommandLine } from './cli.ts';
import { nearest } from './nearest.ts';
import { optionNames } from './standard.ts';

const OPTIONS = {
  port: { names: ['p', 'port'], value: 'required' },
  readonly: { names: ['r', 'read-only', 'readonly'] },
  progress: { names: ['progress'], value: 'optional' },
  verbose: { names: ['v', 'verbose'] },
  version: { names: ['V', 'version'] },
} as const;

/** The options as `key` or `key=value`, then `|`, then the words. */
function parsed(...argv: string[]): string {
  const { given, words } = parseCommandLine(OPTIONS, argv);
  const options = given.map(({ key, value }) => (value === undefined ? key : `${key}=${value}`));
  return [...options, '|', ...words].join(' ');
}

test('options and words as getopt_long takes them', () => {
  assert.equal(parsed(), '|');
  assert.equal(parsed('memory', '1G', '-r', '-p', '7'), 'readonly port=7 | memory 1G');
  assert.equal(parsed('-rvp7', 'x'), 'readonly verbose port=7 | x');
  assert.equal(parsed('-rvp', '7', 'x'), 'readonly verbose port=7 | x');
  assert.equal(parsed('--port=7', '--port', '8', '--port='), 'port=7 port=8 port= |');
  assert.equal(parsed('--read-only', '--readonly'), 'readonly readonly |');
  assert.equal(parsed('--read', '--po=1', '--verb'), 'readonly port=1 verbose |');
  assert.equal(parsed('--progress', '3', '--progress=3'), 'progress progress=3 | 3');
  assert.equal(parsed('-', '--', '-r', '--', 'x'), '| - -r -- x');
  assert.equal(parsed('-p', '-r'), 'port=-r |');
  assert.equal(parsed('-p--', 'x'), 'port=-- | x');
  assert.equal(parsed('[', 'cmd', '-r', '--', ']', '-r'), 'readonly | [ cmd -r -- ]');
  assert.equal(parsed('--', '[', 'cmd', '-r', ']'), '| [ cmd -r ]');
});

test('what getopt_long refuses is refused', () => {
  const refused = (why: RegExp, ...argv: string[]) =>
    assert.throws(() => parsed(...argv), { name: 'UsageError', message: why });
  refused(/^unknown option '-x': see --help$/, '-rx');
  refused(/^unknown option '--bogus': see --help$/, '--bogus');
  refused(/^unknown option '--prot': did you mean '--port'\?$/, '--prot=1');
  refused(/^unknown option '--': see --help$/, '--=1');
  refused(/^option '--ver' is ambiguous: it could be --verbose, --version$/, '--ver');
  refused(/^option '--readonly' takes no value$/, '--readonly=yes');
  refused(/^option '--port' needs a value$/, '--port');
  refused(/^option '-p' needs a value$/, '-rp');
});

test('names for shell completion', () => {
  assert.equal(optionNames(OPTIONS, 'short'), '-p\n-r\n-v\n-V\n');
  assert.match(optionNames(OPTIONS, 'long'), /^--port\n--read-only\n--readonly\n/);
});

test('commands in brackets are one endpoint', () => {
  assert.deepEqual(joinBrackets(['a', '[', 'nbdkit', '-r', ']', 'b']), [
    { word: 'a' },
    { command: ['nbdkit', '-r'] },
    { word: 'b' },
  ]);
  assert.throws(() => joinBrackets(['[', 'a']), /'\[' without '\]'/);
  assert.throws(() => joinBrackets(['[', ']']), /no command/);
});

test('the nearest name is one that could have been meant', () => {
  const names = ['memory', 'null', 'pattern', 'file'];
  assert.equal(nearest('memroy', names), 'memory');
  assert.equal(nearest('nul', names), 'null');
  assert.equal(nearest('Pattern', names), 'pattern');
  assert.equal(nearest('zzzz', names), undefined);
  assert.equal(nearest('x'.repeat(100000), names), undefined);
});

test('an error is one line', () => {
  assert.equal(oneLine(new Error('a\n  b\n')), 'a b');
  assert.equal(oneLine('text'), 'text');
  assert.equal(oneLine(new UsageError('bad', '  x\n  ^')), 'bad\n  x\n  ^');
});

test('an error does nothing to a terminal, whoever wrote its words', () => {
  const evil = 'x\x1b[2J\0\u009b\u202e\u2028y';
  const shown = 'x\\u001b[2J\\u0000\\u009b\\u202e\\u2028y';
  assert.equal(oneLine(evil), shown);
  assert.equal(oneLine(new UsageError(evil, `${evil}\n  ^`)), `${shown}\n${shown}\n  ^`);
});

/** Runs `run('prog', main)` in a process of its own. */
function ran(main: string, env: NodeJS.ProcessEnv = {}) {
  const cli = pathToFileURL(new URL('./cli.ts', import.meta.url).pathname).href;
  const script = `import { run, print } from '${cli}'; run('prog', ${main});`;
  return spawnSync(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], {
    encoding: 'utf8',
    env: { ...process.env, ...env },
  });
}

test('a command ends with its own status, or with one line and 1', () => {
  const good = ran('async () => { await print("out"); setInterval(() => {}, 1e6); return 2; }');
  assert.deepEqual([good.stdout, good.stderr, good.status], ['out', '', 2]);
  const bad = ran('async () => { throw new TypeError("x is not\\na function"); }');
  assert.deepEqual([bad.stderr, bad.status], ['prog: x is not a function\n', 1]);
  const late = ran(
    '() => { setTimeout(() => { throw new Error("late") }); return new Promise(() => {}); }',
  );
  assert.deepEqual([late.stderr, late.status], ['prog: late\n', 1]);
  const debug = ran('async () => { throw new Error("x"); }', { NBDPIPE_DEBUG: '1' });
  assert.match(debug.stderr, /^prog: x\nError: x\n {4}at /);
});

test('V8 knows the option that says when it compiles', () => {
  const script = `
    import { compilePatiently } from ${JSON.stringify(new URL('./cli.ts', import.meta.url).href)};
    import v8 from 'node:v8';
    import { syncBuiltinESMExports } from 'node:module';
    v8.setFlagsFromString = flag => console.log(flag);
    syncBuiltinESMExports();
    compilePatiently();
    setTimeout(() => {}, 200);
  `;
  const options = ['--import', import.meta.resolve('tsx'), '--input-type=module', '-e', script];
  const { stdout } = spawnSync(process.execPath, options, { encoding: 'utf8' });
  const [name] = /^--[\w-]+(?==\d+$)/m.exec(stdout) ?? [];
  const known = spawnSync(process.execPath, ['--v8-options'], { encoding: 'utf8' }).stdout;
  assert.ok(name && known.includes(`${name} `), `${name}: ${stdout}`);
});
