/** nbdfuse in the file systems of this machine, used by programs that know nothing of NBD. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  writeFileSync,
} from 'node:fs';
import { join, resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, type TestContext, test } from 'node:test';
import { temporaryFolder } from '../peer/wire.ts';
import { has, ourCommands, run, runWell, startProgram } from './programs.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const PROGRAM = join(ROOT, 'dist/nbdfuse.cjs');
const NOBODY = 65534;
const isRoot = process.getuid!() === 0;

function hasFuse(t: TestContext): boolean {
  if (existsSync('/dev/fuse')) return isRoot || has(t, 'fusermount3');
  t.skip('needs /dev/fuse');
  return false;
}

/** A disk in the file system; what is left of it goes with the test. */
class Shown {
  readonly point: string;
  readonly folder: string;
  readonly child: ChildProcess;
  errors = '';

  constructor(folder: string, point: string, child: ChildProcess) {
    this.folder = folder;
    this.point = point;
    this.child = child;
    child.stderr!.on('data', (bytes: Buffer) => {
      this.errors += bytes;
    });
  }

  /** How it ends. */
  async ended(): Promise<[status: number | null, errors: string]> {
    const { exitCode, signalCode } = this.child;
    if (exitCode === null && signalCode === null) await once(this.child, 'exit');
    return [this.child.exitCode, this.errors];
  }

  async end(): Promise<void> {
    this.child.kill();
    await this.ended();
    if (isMounted(this.point)) await run('umount', ['-l', this.point]);
  }

  async unmount(): Promise<void> {
    await runWell('umount', [this.point]);
    assert.deepEqual(await this.ended(), [0, '']);
    assert.equal(isMounted(this.point), false);
  }
}

const isMounted = (point: string) => readFileSync('/proc/mounts', 'latin1').includes(` ${point} `);

interface Showing {
  readonly options?: readonly string[];
  /** Whose it is. */
  readonly user?: number;
  readonly program?: string;
  /** Over a folder. */
  readonly inFolder?: boolean;
}

async function show(
  t: TestContext,
  disk: readonly string[],
  { options = [], user, program = PROGRAM, inFolder = false }: Showing = {},
): Promise<Shown> {
  let shown: Shown | undefined;
  // Before the folder is removed.
  t.after(() => shown?.end());
  const folder = temporaryFolder(t);
  const point = join(folder, 'disk');
  if (inFolder) mkdirSync(point);
  else writeFileSync(point, '');
  chmodSync(folder, 0o777);
  if (user !== undefined) chownSync(point, user, user);
  const pidFile = join(folder, 'pid');
  const words = [program, '-P', pidFile, ...options, point, ...disk];
  const child = spawn(process.execPath, words, {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, ...ourCommands(t).env, NODE_OPTIONS: '' },
    ...(user !== undefined && { uid: user, gid: user }),
  });
  shown = new Shown(folder, point, child);
  for (const end = Date.now() + 20_000; !existsSync(pidFile); ) {
    const over = child.exitCode !== null || Date.now() > end;
    assert.ok(!over, `nbdfuse does not start: ${shown.errors}`);
    await new Promise(done => setTimeout(done, 10));
  }
  return shown;
}

describe('a disk as a file', () => {
  test('is partitioned, formatted and edited, without a server', async t => {
    if (!hasFuse(t) || !has(t, 'sfdisk', 'mke2fs', 'debugfs', 'sgdisk')) return;
    const { point, folder } = await show(t, ['--plugin', 'memory', '64M']);
    await runWell('sfdisk', ['-q', point], { input: 'label: gpt\nstart=2048\n' });
    assert.match(await runWell('sgdisk', ['-p', point]), /^ +1 +2048 +129023 /m);
    await runWell('mke2fs', ['-q', '-F', '-t', 'ext4', '-E', 'offset=1048576', point, '60M']);
    const words = 'hello, disk\n'.repeat(10_000);
    writeFileSync(join(folder, 'hello'), words);
    const disk = `${point}?offset=1048576`;
    await runWell('debugfs', ['-w', '-R', `write ${join(folder, 'hello')} hello`, disk]);
    assert.equal(await runWell('debugfs', ['-R', 'cat hello', disk]), words);
  });

  test('is mounted as a file system, and filled', async t => {
    if (!hasFuse(t) || !has(t, 'mke2fs', 'losetup', 'mount')) return;
    if (!isRoot) return t.skip('needs root');
    const shown = await show(t, ['--command', 'nbdkit', '-s', 'memory', '64M']);
    await runWell('mke2fs', ['-q', '-F', '-t', 'ext4', shown.point]);
    const place = join(shown.folder, 'mnt');
    mkdirSync(place);
    await runWell('mount', ['-o', 'loop', shown.point, place]);
    t.after(() => run('umount', ['-l', place]));
    const bytes = Buffer.alloc(8 << 20, 'some text');
    await runWell('dd', [`of=${place}/file`, 'bs=64k', 'status=none'], { input: bytes });
    await runWell('umount', [place]);
    await runWell('e2fsck', ['-f', '-n', shown.point]);
    await shown.unmount();
  });

  test('of every size, with the names and rights that were asked for', async t => {
    if (!hasFuse(t)) return;
    const huge = await show(t, ['--plugin', 'memory', '7E'], {
      options: ['-o', 'uid=5,umask=027'],
    });
    assert.equal(
      await runWell('stat', ['-c', '%s %u %A', huge.point]),
      '8070450532247928832 5 -rw-r-----\n',
    );
    const inFolder = await show(t, ['--plugin', 'memory', '9223372036854775807'], {
      inFolder: true,
      options: ['-r'],
    });
    const file = join(inFolder.point, 'nbd');
    assert.equal(await runWell('stat', ['-c', '%s %A', file]), '9223372036854775807 -r--r--r--\n');
    const writing = await run('dd', [`of=${file}`, 'count=1', 'conv=notrunc'], { input: 'x' });
    assert.match(writing.stderr, /Permission denied/);
    await inFolder.unmount();
    assert.equal(existsSync(file), false);
  });

  test('with holes that programs find and make', async t => {
    if (!hasFuse(t) || !has(t, 'fallocate', 'cp', 'du', 'qemu-img')) return;
    const { point, folder } = await show(t, ['--plugin', 'memory', '64M'], {
      options: ['-o', 'attr_timeout=0'],
    });
    const bytes = Buffer.alloc(4 << 20, 1);
    await runWell('dd', [`of=${point}`, 'bs=1M', 'seek=8', 'conv=notrunc'], { input: bytes });
    assert.equal(await runWell('du', ['-k', point]), `4096\t${point}\n`);
    await runWell('fallocate', ['--punch-hole', '-o', '8M', '-l', '1M', point]);
    assert.equal(await runWell('du', ['-k', point]), `3072\t${point}\n`);
    const map = JSON.parse(await runWell('qemu-img', ['map', '--output=json', '-f', 'raw', point]));
    const data = map.filter((run: { data: boolean }) => run.data);
    assert.deepEqual([data.length, data[0].start, data[0].length], [1, 9 << 20, 3 << 20]);
    const copy = join(folder, 'copy');
    await runWell('cp', ['--sparse=auto', point, copy]);
    assert.equal(await runWell('du', ['-k', copy]), `3072\t${copy}\n`);
    await runWell('cmp', [point, copy]);
    await runWell('fallocate', ['--zero-range', '-o', '9M', '-l', '3M', point]);
    await runWell('cmp', ['-n', String(64 << 20), point, '/dev/zero']);
  });

  test('whatever is written is read back, by many at once', async t => {
    if (!hasFuse(t) || !has(t, 'fio', 'qemu-nbd', 'qemu-img')) return;
    const image = join(temporaryFolder(t), 'disk.qcow2');
    await runWell('qemu-img', ['create', '-q', '-f', 'qcow2', image, '16M']);
    const shown = await show(t, ['[', 'qemu-nbd', '-f', 'qcow2', image, ']']);
    const job = [
      '--rw=randrw',
      '--bsrange=512-64k',
      '--verify=crc32c',
      '--verify_state_save=0',
      '--size=4M',
    ];
    for (const engine of [
      ['--ioengine=psync'],
      ['--ioengine=libaio', '--direct=1', '--iodepth=16'],
    ]) {
      await runWell('fio', ['--name=x', `--filename=${shown.point}`, ...job, ...engine]);
    }
    await shown.unmount();
    const map = JSON.parse(await runWell('qemu-img', ['map', '--output=json', image]));
    assert.ok(map.some((run: { data: boolean }) => run.data));
  });

  test('all exports of a server', async t => {
    if (!hasFuse(t)) return;
    const folder = temporaryFolder(t);
    for (const [name, size] of [
      ['a.img', 512],
      ['b.img', 4096],
    ] as const) {
      writeFileSync(join(folder, name), Buffer.alloc(size));
    }
    const { point } = await show(t, ['[', 'nbdkit', 'file', `dir=${folder}`, ']'], {
      inFolder: true,
      options: ['--all-exports'],
    });
    assert.equal(
      await runWell('stat', ['-c', '%n %s', `${point}/a.img`, `${point}/b.img`]),
      `${point}/a.img 512\n${point}/b.img 4096\n`,
    );
    assert.equal(await runWell('ls', [point]), 'a.img\nb.img\n');
    const made = await run('touch', [join(point, 'c.img')]);
    assert.match(made.stderr, /Operation not permitted/);
  });
});

/** nbdfuse where every user may read it, which the home of root is not. */
function programForAll(t: TestContext): string {
  const place = temporaryFolder(t);
  const needed = ['dist', 'package.json', 'node_modules/koffi', 'node_modules/@koromix'];
  for (const path of needed) cpSync(join(ROOT, path), join(place, path), { recursive: true });
  chmodSync(place, 0o755);
  return join(place, 'dist/nbdfuse.cjs');
}

describe('an ordinary user', () => {
  test('mounts and unmounts what is theirs, and nothing else', async t => {
    if (!hasFuse(t) || !has(t, 'fusermount3')) return;
    if (!isRoot) return t.skip('needs root to become another user');
    const user = NOBODY;
    const program = programForAll(t);
    const shown = await show(t, ['--plugin', 'memory', '1M'], { user, program });
    const as = ['--reuid', String(user), '--regid', String(user), '--clear-groups'];
    await runWell('setpriv', [...as, 'dd', `of=${shown.point}`, 'conv=notrunc', 'status=none'], {
      input: 'hello',
    });
    assert.equal(await runWell('setpriv', [...as, 'head', '-c', '5', shown.point]), 'hello');
    await runWell('setpriv', [...as, 'fusermount3', '-u', shown.point]);
    assert.deepEqual(await shown.ended(), [0, '']);
    const words = [process.execPath, program, '/usr', '--plugin', 'memory', '1M'];
    const refused = await run('setpriv', [...as, ...words]);
    assert.equal(refused.status, 1);
    assert.match(refused.stderr, /^nbdfuse: fusermount3: user has no write access to .*\/usr\n$/);
    const helpless = await run('setpriv', [...as, 'env', 'PATH=/nowhere', ...words]);
    assert.equal(helpless.status, 1);
    assert.match(helpless.stderr, /^nbdfuse: fusermount3 is not installed: users other than root/);
  });
});

test('a kernel without FUSE', async t => {
  if (!hasFuse(t) || !has(t, 'unshare', 'mount')) return;
  if (!isRoot) return t.skip('needs root');
  const point = join(temporaryFolder(t), 'disk');
  writeFileSync(point, '');
  const words = [process.execPath, PROGRAM, point, '--plugin', 'memory', '1M'];
  const hidden = 'mount -t tmpfs tmpfs /dev && exec "$@"';
  const { status, stderr } = await run('unshare', ['-m', 'sh', '-c', hidden, 'sh', ...words]);
  assert.equal(status, 1);
  assert.equal(stderr, 'nbdfuse: there is no /dev/fuse: the kernel needs its module fuse\n');
});

describe('the end', () => {
  test('a signal while a file is open: nothing is left', async t => {
    if (!hasFuse(t)) return;
    const shown = await show(t, ['[', 'nbdkit', 'memory', '64M', ']']);
    const busy = await run(process.execPath, [PROGRAM, shown.point, '--plugin', 'memory', '1M']);
    assert.match(busy.stderr, /^nbdfuse: .*: has a disk already: fusermount3 -u it first\n$/);
    const reader = spawn('sh', [
      '-c',
      `exec 3<"$1"; echo; read -r line; head -c 1 <&3`,
      'sh',
      shown.point,
    ]);
    await once(reader.stdout, 'data');
    shown.child.kill('SIGTERM');
    assert.deepEqual(await shown.ended(), [0, '']);
    assert.equal(isMounted(shown.point), false);
    reader.stdin.end('\n');
    assert.match(await text(reader.stderr), /not connected/);
  });

  test('the server goes away in the middle of a write', async t => {
    if (!hasFuse(t)) return;
    const server = join(temporaryFolder(t), 'socket');
    const { env } = ourCommands(t);
    const pidFile = `${server}.pid`;
    const words = ['-U', server, '-P', pidFile, '--filter=delay', 'memory', '64M', 'wdelay=30'];
    await runWell('nbdkit', words, { env });
    const shown = await show(t, ['--unix', server]);
    const writing = run('dd', [`of=${shown.point}`, 'conv=notrunc', 'bs=1M'], { input: 'x' });
    await new Promise(done => setTimeout(done, 200));
    process.kill(Number(readFileSync(pidFile, 'utf8')), 'SIGKILL');
    assert.match((await writing).stderr, /Input\/output error/);
    const [status, errors] = await shown.ended();
    assert.equal(status, 1);
    assert.match(errors, /the server is gone, and so is the disk\n$/);
    assert.equal(isMounted(shown.point), false);
  });

  test('a program is interrupted although the server is silent', async t => {
    if (!hasFuse(t) || !has(t, 'timeout')) return;
    const words = ['--command', 'nbdkit', '-s', '--filter=delay', 'memory', '64M', 'wdelay=2.5'];
    const shown = await show(t, words);
    const began = Date.now();
    const args = ['-s', 'INT', '0.2', 'sh', '-c', 'echo x 1<>"$1"', 'sh', shown.point];
    await run('timeout', args);
    assert.ok(Date.now() - began < 2400, 'it has waited for the server');
    shown.child.kill('SIGTERM');
    assert.deepEqual(await shown.ended(), [0, '']);
  });

  test('by SIGKILL, and what is said of what that leaves', async t => {
    if (!hasFuse(t)) return;
    const careful = await show(t, ['--plugin', 'memory', '1M'], {
      options: ['-o', 'auto_unmount'],
    });
    careful.child.kill('SIGKILL');
    const shown = await show(t, ['--plugin', 'memory', '1M']);
    shown.child.kill('SIGKILL');
    await once(shown.child, 'exit');
    const again = await run(process.execPath, [PROGRAM, shown.point, '--plugin', 'memory', '1M']);
    assert.equal(again.status, 1);
    assert.match(again.stderr, /^nbdfuse: .*: what was mounted there has ended: fusermount3 -u it/);
    for (let tries = 0; isMounted(careful.point) && tries < 300; tries++) {
      await new Promise(done => setTimeout(done, 10));
    }
    assert.equal(isMounted(careful.point), false);
  });
});

test('a server of C, found by its kernel file', async t => {
  if (!hasFuse(t) || !has(t, 'nbdkit')) return;
  const socket = join(temporaryFolder(t), 'socket');
  const program = existsSync('/usr/sbin/nbdkit') ? '/usr/sbin/nbdkit' : '/usr/bin/nbdkit';
  await startProgram(t, program, ['-f', '-U', socket, 'pattern', '1M'], () => existsSync(socket));
  const { point } = await show(t, ['--unix', socket]);
  const bytes = Buffer.from(
    await runWell('dd', [`if=${point}`, 'bs=8', 'skip=5', 'count=1']),
    'latin1',
  );
  assert.equal(bytes.readBigUInt64BE(), 40n);
});
