/** How a server behaves as a process: signals, its parent, what it says, and options of the system. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { commandOf } from '../../../test/peer/command.ts';
import { connect } from '../../client/connect.ts';

const folder = mkdtempSync(join(tmpdir(), 'nbdpipe-test-'));
after(() => rmSync(folder, { recursive: true }));

const COMMAND = commandOf('nbdkit');
const at = (name: string) => join(folder, name);
const notLinux = process.platform !== 'linux' && 'needs Linux';

function nbdkit(...argv: string[]) {
  const options = { encoding: 'utf8', cwd: folder } as const;
  return spawnSync(process.execPath, [...COMMAND, ...argv], options);
}

interface Running {
  readonly child: ChildProcess;
  said(): string;
}

function start(t: TestContext, ...argv: string[]): Running {
  const child = spawn(process.execPath, [...COMMAND, '-f', ...argv], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  t.after(() => child.kill('SIGKILL'));
  let said = '';
  for (const stream of [child.stdout!, child.stderr!]) {
    stream.setEncoding('utf8').on('data', text => {
      said += text;
    });
  }
  return { child, said: () => said };
}

async function until<T>(known: () => T | undefined | false | null): Promise<T> {
  for (;;) {
    const value = known();
    if (value) return value;
    await delay(20);
  }
}

test('SIGUSR1 ends it, as any program that gives it no meaning, and opens no debugger', async t => {
  const { child, said } = start(t, '-U', 'usr1', 'null');
  await until(() => existsSync(at('usr1')));
  child.kill('SIGUSR1');
  const [code, signal] = await once(child, 'close');
  assert.deepEqual([code, signal, said()], [null, 'SIGUSR1', '']);
});

for (const signal of ['SIGHUP', 'SIGTERM', 'SIGINT', 'SIGQUIT'] as const) {
  test(`${signal} with --run ends the command and leaves no private socket`, async t => {
    const { child, said } = start(t, 'null', '--run', 'echo "$unixsocket"; exec sleep 1000');
    const socket = (await until(() => /^(.*)\n/.exec(said())))[1]!;
    assert.ok(existsSync(socket));
    child.kill(signal);
    const [code] = await once(child, 'close');
    assert.equal(code, 128 + { SIGHUP: 1, SIGINT: 2, SIGQUIT: 3, SIGTERM: 15 }[signal]);
    assert.equal(existsSync(join(socket, '..')), false);
  });
}

test('--exit-with-parent when the parent is gone before anybody looks', {
  skip: notLinux,
}, async t => {
  // A session of its own, as a terminal has, so that what adopts the orphan is in another.
  const words = ['-c', '"$@" >said 2>&1 & echo $!', 'sh', process.execPath, ...COMMAND];
  const parent = spawn('sh', [...words, '--exit-with-parent', '-U', 'orphan', 'null'], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'ignore'],
    detached: true,
  });
  const [pid] = await once(parent.stdout.setEncoding('utf8'), 'data');
  t.after(() => spawnSync('kill', ['-9', pid.trim()]));
  await until(() => !existsSync(`/proc/${pid.trim()}`));
  assert.equal(readFileSync(at('said'), 'utf8'), '');
  assert.equal(existsSync(at('orphan')), false);
});

const THROWS = `
  import { definePlugin, sourceOf } from 'nbdpipe/plugin';
  const read = () => { throw new TypeError('a bug'); };
  const source = sourceOf(() => ({ size: 512n, read }));
  export default definePlugin({
    name: 'throws', description: 'throws', parameters: {}, create: () => source,
  });`;

for (const verbose of [false, true]) {
  test(`a plugin that throws: one line${verbose ? ', and with -v its stack' : ''}`, async t => {
    writeFileSync(at('throws.mjs'), THROWS);
    const socket = `throws-${verbose}`;
    const { said } = start(t, ...(verbose ? ['-v'] : []), '-U', socket, './throws.mjs');
    await until(() => existsSync(at(socket)));
    const client = await connect(`nbd+unix://?socket=${at(socket)}`);
    await assert.rejects(async () => client.read(0n, 512), { errno: 'EIO' });
    await client.close();
    await until(() => said().includes('a bug\n'));
    const lines = said().trimEnd().split('\n');
    const debug = lines.filter(line => /^nbdkit: (throws\[1\]: )?debug: /.test(line));
    const errors = lines.filter(line => !debug.includes(line));
    assert.equal(errors.length, 1, said());
    assert.match(errors[0]!, /^nbdkit: throws\[1\]: error: .*a bug$/);
    assert.equal(
      debug.some(line => /^nbdkit: throws\[1\]: debug: at .*throws\.mjs/.test(line)),
      verbose,
    );
  });
}

test('-v tells what each part is asked for, unless a flag says no', () => {
  const said = (...flags: string[]) =>
    nbdkit(
      ...['-v', ...flags, '--filter=offset', 'memory', '1M', 'offset=512', '--run'],
      [process.execPath, ...commandOf('nbdinfo'), '"$uri"'].join(' '),
    ).stderr;
  const all = said();
  assert.match(all, /^nbdkit: debug: nbdkit 1\.\d+\.\d+ \(nbdpipe .*\)$/m);
  assert.match(all, /^nbdkit: debug: offset: open readonly=0 exportname="" tls=0$/m);
  assert.match(all, /^nbdkit: debug: memory: pread count=\d+ offset=512$/m);
  assert.doesNotMatch(said('-D', 'nbdkit.backend.datapath=0'), /pread/);
  assert.doesNotMatch(said('-D', 'nbdkit.backend.controlpath=0'), /: open/);
});

test('--timeout hangs up on who does not negotiate, and says so once', async t => {
  const { child, said } = start(t, '-U', 'slow', '--timeout=50ms', 'null');
  await until(() => existsSync(at('slow')));
  const client = net.connect(at('slow')).resume();
  await once(client, 'close');
  child.kill('SIGTERM');
  await once(child, 'close');
  const words = 'the handshake is not over after 50 ms, given up';
  assert.equal(said(), `nbdkit: null[1]: error: ${words}\n`);
});

test('--vsock', { skip: notLinux }, () => {
  const { status, stdout, stderr } = nbdkit('--vsock', '-p', '0', 'null', '--run', 'echo "$uri"');
  if (status === 0) assert.match(stdout, /^nbd\+vsock:\/\/1:\d+\n$/);
  else assert.match(stderr, /^nbdkit: error: vsock port 0: .*\n$/);
});

test('--swap', { skip: notLinux }, () => {
  const show = 'sed -n s/^VmLck://p /proc/$PPID/status';
  const { status, stdout, stderr } = nbdkit('--swap', 'null', '--run', show);
  if (status === 0) assert.match(stdout, /[1-9]\d* kB/);
  else assert.match(stderr, /^nbdkit: error: mlockall: .*\n$/);
});

test('--selinux-label where there is no SELinux', { skip: existsSync('/sys/fs/selinux') }, () => {
  const { status, stderr } = nbdkit('--selinux-label=x', 'null', '--run', 'true');
  assert.equal(status, 1);
  assert.match(stderr, /^nbdkit: error: SELinux label 'x': .*\n$/);
});
