import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { has } from '../../test/interop/programs.ts';
import { commandOf } from '../../test/peer/command.ts';
import { temporaryFolder } from '../../test/peer/wire.ts';

function command(name: string, ...words: string[]) {
  return spawnSync(process.execPath, [...commandOf(name), ...words], { encoding: 'utf8' });
}

/** What the last word may become. */
const offered = (name: string, ...words: string[]) =>
  command(name, '--complete', ...words)
    .stdout.split('\n')
    .slice(0, -1);

const CASES: readonly (readonly [words: string[], offered: string[]])[] = [
  [
    ['nbdkit', 'mem'],
    ['memory', ':file'],
  ],
  [['nbdkit', '--filter=off'], ['--filter=offset']],
  [['nbdkit', '--filter', 'off'], ['offset']],
  [
    ['nbdkit', '--rea'],
    ['--readonly', '--read-only'],
  ],
  [
    ['nbdkit', '--tls='],
    ['--tls=off', '--tls=on', '--tls=require'],
  ],
  [
    ['nbdkit', '--log', 's'],
    ['stderr', 'syslog'],
  ],
  [['nbdkit', '-P', ''], [':file']],
  [['nbdkit', '--tls-certificates', ''], [':folder']],
  [['nbdkit', '-p', ''], []],
  [
    ['nbdkit', 'memory', 's'],
    ['size=', ':file'],
  ],
  [
    ['nbdkit', '--filter=log', 'memory', 'log'],
    ['logfile=', 'logappend=', 'logscript=', ':file'],
  ],
  [
    ['nbdkit', 'file', 'cache='],
    ['cache=default', 'cache=none'],
  ],
  [['nbdkit', 'ondemand', 'wait=t'], ['wait=true']],
  [['nbdkit', 'file', 'dir='], [':file']],
  [['nbdkit', 'nosuch', ''], []],
  [['nbdinfo', '--can', 'fl'], ['flush']],
  [['nbdinfo', 'x'], [':file']],
  [['nbdcopy', '--ta'], ['--target-is-zero']],
  [['nbdsh', '-c', ''], []],
  [['disk2data', '--h'], ['--help']],
  [
    ['nbdkit', '--completion', ''],
    ['bash', 'zsh', 'fish'],
  ],
];

describe('what a word may become', () => {
  for (const [words, expected] of CASES) {
    test(words.join(' '), () => {
      const [name, ...line] = words;
      assert.deepEqual(offered(name!, ...line), expected);
    });
  }
});

describe('scripts for shells', () => {
  for (const shell of ['bash', 'zsh', 'fish']) {
    test(shell, (t: TestContext) => {
      const { stdout } = command('nbdkit', '--completion', shell);
      assert.doesNotMatch(stdout, /NAME/);
      if (!has(t, shell)) return;
      const script = join(temporaryFolder(t), 'script');
      writeFileSync(script, stdout);
      const { status, stderr } = spawnSync(shell, ['-n', script], { encoding: 'utf8' });
      assert.deepEqual([status, stderr], [0, '']);
    });
  }

  test('an unknown one', () => {
    const { status, stderr } = command('nbdinfo', '--completion', 'csh');
    assert.equal(status, 1);
    assert.match(
      stderr,
      /^nbdinfo: --completion: unknown shell 'csh': expected bash, zsh or fish$/m,
    );
  });
});

/** What bash puts on the line, with our command under its own name. */
function inBash(t: TestContext, line: string): string[] {
  const folder = temporaryFolder(t);
  const words = [process.execPath, ...commandOf('nbdkit')].map(word => `'${word}'`);
  const program = `#!/bin/sh\nexec ${words.join(' ')} "$@"\n`;
  writeFileSync(join(folder, 'nbdkit'), program, { mode: 0o755 });
  mkdirSync(join(folder, 'here', 'folder'), { recursive: true });
  writeFileSync(join(folder, 'here', 'disk.img'), '');
  const script = `eval "$(nbdkit --completion bash)"
    COMP_LINE=${JSON.stringify(line)} COMP_POINT=${line.length}
    compopt() { :; }
    _nbdkit
    printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout, stderr } = spawnSync('bash', ['-c', script], {
    encoding: 'utf8',
    cwd: join(folder, 'here'),
    env: { ...process.env, PATH: `${folder}:${process.env.PATH}` },
  });
  assert.equal(stderr, '');
  return stdout.split('\n').filter(word => word !== '');
}

describe('in bash', () => {
  const cases: readonly (readonly [string, string[]])[] = [
    ['nbdkit mem', ['memory']],
    ['nbdkit memory siz', ['size=']],
    // What stands before the = is there already.
    ['nbdkit file cache=n', ['none']],
    ['nbdkit --filter=of', ['offset']],
    ['nbdkit file file=d', ['disk.img']],
    ['nbdkit file di', ['dir=', 'dirfd=', 'disk.img']],
    ['nbdkit --tls-certificates ', ['folder']],
  ];
  for (const [line, expected] of cases) {
    test(line, (t: TestContext) => {
      if (has(t, 'bash')) assert.deepEqual(inBash(t, line), expected);
    });
  }
});
