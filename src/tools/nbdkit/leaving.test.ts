/** What a server makes for its service, and what it leaves when it ends. */
import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  lstatSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { commandOf } from '../../../test/peer/command.ts';

const folder = mkdtempSync(join(tmpdir(), 'nbdpipe-test-'));
after(() => rmSync(folder, { recursive: true }));

const COMMAND = commandOf('nbdkit');
const at = (name: string) => join(folder, name);

/** Starts a server in the foreground and waits for its socket. */
async function started(t: TestContext, socket: string, ...argv: string[]): Promise<ChildProcess> {
  const words = [...COMMAND, '-f', '-U', socket, 'null', ...argv];
  const child = spawn(process.execPath, words, { cwd: folder, stdio: 'ignore' });
  t.after(() => child.kill('SIGKILL'));
  const gone = once(child, 'exit').then(() => assert.fail('the server has ended'));
  while (!existsSync(at(socket))) await Promise.race([gone, delay(20)]);
  gone.catch(() => {});
  return child;
}

async function stopped(child: ChildProcess): Promise<void> {
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  assert.equal((await exited)[0], 0);
}

async function holdsPid(path: string, { pid }: ChildProcess): Promise<void> {
  const there = () => existsSync(path) && readFileSync(path, 'latin1') === `${pid}\n`;
  while (!there()) await delay(20);
}

test('a pid file that is a link is written to, and stays', async t => {
  writeFileSync(at('target'), 'something');
  symlinkSync('target', at('link'));
  const child = await started(t, 'linked', '-P', 'link');
  await holdsPid(at('target'), child);
  await stopped(child);
  assert.ok(lstatSync(at('link')).isSymbolicLink());
  assert.equal(readFileSync(at('target'), 'latin1'), `${child.pid}\n`);
});

test('a pid file that is a FIFO', async t => {
  execFileSync('mkfifo', [at('fifo')]);
  const reader = spawn('cat', [at('fifo')], { stdio: ['ignore', 'pipe', 'inherit'] });
  const closed = once(reader, 'close');
  let said = '';
  reader.stdout.on('data', bytes => {
    said += bytes;
  });
  const child = await started(t, 'piped', '-P', 'fifo');
  await closed;
  assert.equal(said, `${child.pid}\n`);
  await stopped(child);
  assert.ok(lstatSync(at('fifo')).isFIFO());
});

test('a pid file that cannot be written is named, and nothing of it is left', () => {
  const words = [...COMMAND, '-f', '-U', '-', 'null', '-P', '/dev/full'];
  const { status, stderr } = spawnSync(process.execPath, words, { encoding: 'utf8', cwd: folder });
  assert.equal(status, 1);
  assert.match(stderr, /^nbdkit: error: pidfile: \/dev\/full: ENOSPC/);
});

test('a server that ends leaves what belongs to the next one', async t => {
  const first = await started(t, 'socket', '-P', 'pid');
  await holdsPid(at('pid'), first);
  unlinkSync(at('socket'));
  unlinkSync(at('pid'));
  const second = await started(t, 'socket', '-P', 'pid');
  while (!existsSync(at('pid'))) await delay(20);
  await holdsPid(at('pid'), second);
  await stopped(first);
  assert.ok(lstatSync(at('socket')).isSocket());
  assert.equal(readFileSync(at('pid'), 'latin1'), `${second.pid}\n`);
  await stopped(second);
  assert.deepEqual([existsSync(at('socket')), existsSync(at('pid'))], [false, false]);
});

test('a socket that is there already is not replaced', async t => {
  const child = await started(t, 'taken');
  const words = [...COMMAND, '-f', '-U', 'taken', 'null'];
  const { status, stderr } = spawnSync(process.execPath, words, { encoding: 'utf8', cwd: folder });
  assert.equal(status, 1);
  assert.match(stderr, /taken: address already in use/);
  await stopped(child);
});

test('on parameters that are wrong nothing is made', async () => {
  const made = at('made');
  writeFileSync(
    at('mine.ts'),
    `import { writeFileSync } from 'node:fs';
    import { definePlugin, sourceOf, zeroes } from 'nbdpipe/plugin';
    export default definePlugin({ name: 'mine', description: 'mine', parameters: {}, create: () => {
      writeFileSync('${made}', '');
      return sourceOf(() => ({ size: 1n, read: (_offset, length) => zeroes(length) }));
    } });`,
  );
  const words = [
    ...COMMAND,
    '-U',
    '-',
    '--filter=offset',
    './mine.ts',
    'offset=zz',
    '--run',
    'true',
  ];
  const { status, stderr } = spawnSync(process.execPath, words, { encoding: 'utf8', cwd: folder });
  assert.equal(status, 1);
  assert.match(stderr, /^nbdkit: offset: error: offset: cannot parse 'zz'/);
  assert.ok(!existsSync(made));
});
