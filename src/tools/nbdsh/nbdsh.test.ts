import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { has } from '../../../test/interop/programs.ts';
import { commandOf } from '../../../test/peer/command.ts';
import { temporaryFolder } from '../../../test/peer/wire.ts';
import { serve } from '../../server/server.ts';

const COMMAND = commandOf('nbdsh');

/** One that takes so long hangs. */
const HANG_MS = 60_000;

async function nbdsh(words: readonly string[], input = '') {
  const child = spawn(process.execPath, [...COMMAND, ...words], { timeout: HANG_MS });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', text => {
    stdout += text;
  });
  child.stderr.on('data', text => {
    stderr += text;
  });
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  const [status] = await once(child, 'close');
  return { status, stdout, stderr };
}

async function served(t: TestContext): Promise<string> {
  const bytes = Buffer.alloc(4096, 'disk');
  const path = join(temporaryFolder(t), 'socket');
  const device = {
    size: 4096n,
    read: (offset: bigint, length: number) =>
      bytes.subarray(Number(offset), Number(offset) + length),
    extents: () => [{ length: 4096, hole: true, zero: false }],
  };
  const server = await serve(device, { listen: { path } });
  t.after(() => server.close());
  return server.uri!;
}

describe('scripts', { concurrency: 2 }, () => {
  test('code, a URI and standard input are one script, in their order', async t => {
    const uri = await served(t);
    const words = ['-c', 'const text = async () => (await h.read(0, 4)).toString()', '-u', uri];
    const outcome = await nbdsh(
      [...words, '-c', '-', '-c', 'exit(3)'],
      'print(h.size, h.contexts);\nprint(await text());',
    );
    assert.deepEqual(outcome, { status: 3, stdout: '4096n []\ndisk\n', stderr: '' });
  });

  test('files, TypeScript and imports', async t => {
    const file = join(temporaryFolder(t), 'script.ts');
    writeFileSync(
      file,
      `#!/usr/bin/env nbdsh
import { basename } from 'node:path';
import { zeroes as same } from 'nbdpipe';
interface Named { readonly name: string }
const named: Named = { name: basename('/a/b') };
await Promise.resolve();
assert(nbd.zeroes === same && zeroes === same);
print(named.name, typeof h);
`,
    );
    assert.deepEqual(await nbdsh([file]), { status: 0, stdout: 'b object\n', stderr: '' });
  });

  test('options of the connection', async t => {
    const uri = await served(t);
    const list = await nbdsh(['--opt-mode', '-u', uri, '-c', 'print((await h.list()).length)']);
    assert.deepEqual(list, { status: 0, stdout: '1\n', stderr: '' });
    const words = ['--opt-mode', '-u', uri.replace('///', '///disk')];
    const go = await nbdsh([...words, '-c', 'h = await h.go(); print(h.agreement.exportName)']);
    assert.deepEqual(go, { status: 0, stdout: 'disk\n', stderr: '' });
    const code = 'for await (const { hole } of h.extents()) print(hole)';
    const map = await nbdsh(['-v', '-b', '-u', uri, '-c', code]);
    assert.equal(map.stdout, 'true\n');
    assert.match(map.stderr, /^nbdsh: debug: extents of 4096 bytes at 0$/m);
  });

  test('failures are one line, with the place of it when that is wanted', async () => {
    const failed = /^nbdsh: command line script failed: .*no such file/;
    const [thrown, verbose, wrong, together, none] = await Promise.all([
      nbdsh(['-c', 'await open("/nonexistent/disk")']),
      nbdsh(['-v', '-c', 'null.x']),
      nbdsh(['-c', 'const = 3']),
      nbdsh(['-n', '-b']),
      nbdsh(['-n', '-c', 'h', '/nonexistent/file']),
    ]);
    assert.match(thrown.stderr, failed);
    assert.equal(thrown.stderr.split('\n').length, 2);
    assert.match(verbose.stderr, /^TypeError: .*\n +at /);
    assert.match(wrong.stderr, /^nbdsh: command line script failed: .* script:1:6\n$/);
    assert.match(together.stderr, /^nbdsh: -n cannot be used with --base-allocation, --opt-mode/);
    assert.match(none.stderr, /^nbdsh: \/nonexistent\/file: no such file or directory\n$/);
    for (const { status } of [thrown, verbose, wrong, together, none]) assert.equal(status, 1);
  });

  test('a handle that is not connected says how it can be', async () => {
    const [used, printed, awaited, none] = await Promise.all([
      nbdsh(['-c', 'print(h.size)']),
      nbdsh(['-c', 'print(h)']),
      nbdsh(['-c', 'print((await h) === h)']),
      nbdsh(['-n', '-c', 'print(typeof h)']),
    ]);
    assert.match(used.stderr, /^nbdsh: command line script failed: h\.size: h is not connected: /);
    assert.deepEqual([used.status, used.stderr.split('\n').length], [1, 2]);
    assert.equal(printed.stdout, 'not connected\n');
    assert.equal(awaited.stdout, 'true\n');
    assert.equal(none.stdout, 'undefined\n');
  });

  test('exit takes what it takes in Python, and help is there', async () => {
    const [words, yes, nothing, help] = await Promise.all([
      nbdsh(['-c', 'exit("no disk")']),
      nbdsh(['-c', 'exit(1 > 0)']),
      nbdsh(['-c', 'exit(); print("not any more")']),
      nbdsh(['-c', 'help()']),
    ]);
    assert.deepEqual(words, { status: 1, stdout: '', stderr: 'no disk\n' });
    assert.equal(yes.status, 1);
    assert.deepEqual(nothing, { status: 0, stdout: '', stderr: '' });
    assert.match(help.stdout, /await open\("nbd:.*\n.*docs\/library\.md\n$/s);
  });

  test('a script that can never end is an error', async () => {
    const outcome = await nbdsh(['-c', 'await new Promise(() => {}); print("no")']);
    const stderr = 'nbdsh: what it waits for can never come\n';
    assert.deepEqual(outcome, { status: 1, stdout: '', stderr });
  });

  test('what comes through a pipe is a script', async t => {
    const uri = await served(t);
    const outcome = await nbdsh(['-u', uri], 'print((await h.read(0, 4)).toString())');
    assert.deepEqual(outcome, { status: 0, stdout: 'disk\n', stderr: '' });
  });

  test('the prompt: awaits, keeps what was declared, takes types, and leaves', async t => {
    if (!has(t, 'script')) return;
    const uri = await served(t);
    const typed = [
      'const size: bigint = h.size;',
      'const text = (await h.read(0, 4)).toString()',
      'function twice(x) {',
      '  return x + x;',
      '}',
      'twice(text) + size',
      'nonsense',
      'exit(5)',
      'print("not any more")',
    ];
    const command = [process.execPath, ...COMMAND, '-u', uri].map(word => `'${word}'`).join(' ');
    const history = join(temporaryFolder(t), 'history');
    const env = { ...process.env, NBDSH_HISTORY: history, TERM: 'dumb', SHELL: '/bin/sh' };
    const terminal = spawn('script', ['-qec', command, '/dev/null'], { env, timeout: HANG_MS });
    let stdout = '';
    terminal.stdout.on('data', text => {
      if (!stdout.includes('nbd> ') && `${stdout}${text}`.includes('nbd> ')) {
        terminal.stdin.write(`${typed.join('\n')}\n`);
      }
      stdout += text;
    });
    const [status] = await once(terminal, 'close');
    assert.match(stdout, /'diskdisk4096'/);
    assert.match(stdout, /ReferenceError: nonsense is not defined/);
    assert.doesNotMatch(stdout, /^not any more/m);
    assert.equal(status, 5, stdout);
    assert.match(readFileSync(history, 'utf8'), /^twice\(text\) \+ size$/m);
  });
});
