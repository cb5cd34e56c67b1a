import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import process from 'node:process';
import { describe, type TestContext, test } from 'node:test';
import { connectCommand } from '../../src/client/command.ts';
import { temporaryFolder } from '../peer/wire.ts';
import { has, ourCommands, run, runWell } from './programs.ts';

const MIB = 1 << 20;

/** A disk with an ext4 file system, in a partition table or not; sparse as mke2fs leaves it. */
async function realDisk(folder: string, partitioned: boolean): Promise<string> {
  const tree = join(folder, 'tree');
  mkdirSync(tree, { recursive: true });
  writeFileSync(join(tree, 'hello'), 'hello, disk\n'.repeat(50_000));
  writeFileSync(join(tree, 'zeroes'), Buffer.alloc(MIB));
  const path = join(folder, partitioned ? 'table.img' : 'disk.img');
  const offset = partitioned ? MIB : 0;
  truncateSync(writeEmpty(path), 16 * MIB + offset);
  if (partitioned) await runWell('sfdisk', ['-q', path], { input: 'label: gpt\nstart=2048\n' });
  const size = partitioned ? '15M' : '16M';
  const where = `offset=${offset},hash_seed=8be9f2a8-0d4f-4bc1-9e15-0d5b5b6d7f0a`;
  await runWell('mke2fs', ['-q', '-F', '-t', 'ext4', '-d', tree, '-E', where, path, size]);
  return path;
}

function writeEmpty(path: string): string {
  writeFileSync(path, '');
  return path;
}

function blocks(path: string): number {
  return statSync(path).blocks;
}

/** A nbdkit, ours or C's, that serves a file; the socket's path. */
async function serving(
  t: TestContext,
  env: Readonly<Record<string, string>>,
  ...args: readonly string[]
): Promise<{ uri: string; socket: string; pidFile: string; end(): Promise<void> }> {
  const folder = temporaryFolder(t);
  const socket = join(folder, 'socket');
  const pidFile = join(folder, 'pid');
  await runWell('nbdkit', ['-P', pidFile, '-U', socket, ...args], { env });
  const pid = await pidIn(pidFile);
  let ended = false;
  const end = async () => {
    if (ended) return;
    ended = true;
    process.kill(pid, 'SIGTERM');
    await gone(pid);
  };
  t.after(end);
  return { uri: `nbd+unix:///?socket=${socket}`, socket, pidFile, end };
}

/** C nbdkit may write it after the command has returned. */
async function pidIn(path: string): Promise<number> {
  for (const deadline = Date.now() + 20_000; Date.now() < deadline; ) {
    const text = existsSync(path) ? readFileSync(path, 'utf8') : '';
    if (text.endsWith('\n')) return Number(text);
    await new Promise(resolve => setTimeout(resolve, 20));
  }
  throw new Error(`no pid in ${path}`);
}

async function gone(pid: number): Promise<void> {
  for (const deadline = Date.now() + 20_000; Date.now() < deadline; ) {
    try {
      process.kill(pid, 0);
    } catch {
      return;
    }
    // Where nobody reaps orphans, a dead one stays as a zombie.
    if (/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))) return;
    await new Promise(resolve => setTimeout(resolve, 20));
  }
  throw new Error(`process ${pid} does not end`);
}

describe('nbdinfo beside the C nbdinfo, at the same server', () => {
  /** What the disk has to do with. */
  const OF_DISK: readonly (readonly string[])[] = [[], ['--map'], ['--map', '--totals']];
  const OTHERS: readonly (readonly string[])[] = [
    ['--size'],
    ['--json'],
    ['--map', '--json'],
    ['--list'],
    ['--list', '--json'],
    ['--can', 'write'],
    ['--can', 'fast-zero'],
    ['--is', 'read-only'],
    ['--no-content'],
  ];

  for (const plugin of ['file', 'table', 'memory', 'pattern']) {
    test(plugin, async t => {
      if (!has(t, 'nbdkit', 'nbdinfo', 'mke2fs', 'sfdisk', 'file')) return;
      const { env } = ourCommands(t);
      const folder = temporaryFolder(t);
      const words = {
        file: async () => ['file', await realDisk(folder, false)],
        table: async () => ['-r', 'file', await realDisk(folder, true)],
        memory: async () => ['memory', '3M'],
        pattern: async () => ['pattern', '1M'],
      };
      const args = await words[plugin as keyof typeof words]();
      const { uri } = await serving(t, {}, ...args);
      for (const options of plugin === 'table' ? [...OF_DISK, ...OTHERS] : OF_DISK) {
        const theirs = await run('nbdinfo', [...options, uri]);
        const ours = await run('nbdinfo', [...options, uri], { env });
        assert.equal(ours.stdout, theirs.stdout, `${options.join(' ')}: ${ours.stderr}`);
        assert.equal(ours.status, theirs.status, options.join(' '));
      }
    });
  }

  test('and the C nbdinfo at our server', async t => {
    if (!has(t, 'nbdkit', 'nbdinfo', 'mke2fs', 'file')) return;
    const { env } = ourCommands(t);
    const image = await realDisk(temporaryFolder(t), false);
    const ours = await serving(t, env, 'file', image);
    const theirs = await serving(t, {}, 'file', image);
    for (const options of [['--size'], ['--map'], ['--map', '--totals'], ['--can', 'trim']]) {
      const [atOurs, atTheirs] = await Promise.all(
        [ours, theirs].map(({ uri }) => run('nbdinfo', [...options, uri])),
      );
      assert.equal(atOurs!.stdout, atTheirs!.stdout, options.join(' '));
      assert.equal(atOurs!.status, atTheirs!.status, options.join(' '));
    }
  });
});

describe('nbddump beside the C nbddump, at the same server', () => {
  const DISKS: Readonly<Record<string, readonly string[]>> = {
    empty: ['null'],
    'one byte': ['data', '1'],
    pattern: ['pattern', '299'],
    text: [
      'data',
      ' @32768 1 @65535 "hello, world!" @17825790 "over a border of 16M" @20000000 0 ',
    ],
    repeats: ['data', '( 0x55 0xAA )*3000 0*100 ( 1 2 3 4 5 6 7 8 )*6 "\\x7f\\xff~ "'],
    'all bytes': ['data', Array.from({ length: 256 }, (_, byte) => byte).join(' ')],
    'no last line': ['data', '0*33'],
  };
  const OPTIONS = [['--colour'], ['-n', '17'], ['--length=33', '--no-color']];
  for (const [index, [what, args]] of Object.entries(DISKS).entries()) {
    test(what, async t => {
      if (!has(t, 'nbdkit', 'nbddump')) return;
      const { env } = ourCommands(t);
      const { uri } = await serving(t, env, ...args);
      for (const options of [[], OPTIONS[index % OPTIONS.length]!]) {
        const theirs = await run('nbddump', [...options, uri]);
        const ours = await run('nbddump', [...options, uri], { env });
        assert.deepEqual(ours, theirs, options.join(' '));
      }
    });
  }

  test('a server in brackets', async t => {
    if (!has(t, 'nbdkit', 'nbddump')) return;
    const { env } = ourCommands(t);
    const words = ['--', '[', 'nbdkit', 'pattern', '3M', ']'];
    const theirs = await run('nbddump', words);
    assert.deepEqual(await run('nbddump', words, { env }), theirs);
  });
});

describe('nbdcopy', () => {
  for (const partitioned of [false, true]) {
    test(`a real disk, as sparse as it was${partitioned ? ', with a partition table' : ''}`, async t => {
      if (!has(t, 'nbdkit', 'nbdcopy', 'mke2fs', 'sfdisk')) return;
      const { env } = ourCommands(t);
      const folder = temporaryFolder(t);
      const image = await realDisk(folder, partitioned);
      const bytes = readFileSync(image);
      const { uri } = await serving(t, env, 'file', image);
      const ours = join(folder, 'ours');
      const theirs = join(folder, 'theirs');
      await runWell('nbdcopy', [uri, ours], { env });
      await runWell('nbdcopy', [uri, theirs]);
      assert.ok(readFileSync(ours).equals(bytes));
      assert.ok(blocks(ours) <= blocks(theirs), `${blocks(ours)} > ${blocks(theirs)} blocks`);
      assert.ok(blocks(ours) <= blocks(image), `${blocks(ours)} > ${blocks(image)} blocks`);
    });
  }

  test('to a server, to standard output, from a captive qemu-nbd', async t => {
    if (!has(t, 'nbdkit', 'qemu-nbd', 'qemu-img', 'mke2fs')) return;
    const { env } = ourCommands(t);
    const folder = temporaryFolder(t);
    const image = await realDisk(folder, false);
    const bytes = readFileSync(image);
    const { uri } = await serving(t, env, 'memory', '16M');
    await runWell('nbdcopy', [image, uri], { env });
    assert.ok(Buffer.from(await runWell('nbdcopy', [uri, '-'], { env }), 'latin1').equals(bytes));
    const qcow2 = join(folder, 'disk.qcow2');
    const raw = join(folder, 'disk.raw');
    await runWell('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', image, qcow2]);
    const captive = ['[', 'qemu-nbd', '-r', '-f', 'qcow2', qcow2, ']'];
    await runWell('nbdcopy', ['--', ...captive, raw], { env });
    assert.ok(readFileSync(raw).equals(bytes));
    const ours = ['[', 'nbdkit', '--exit-with-parent', 'file', image, ']'];
    await runWell('nbdcopy', ['--', ...ours, `${raw}.2`], { env });
    assert.ok(readFileSync(`${raw}.2`).equals(bytes));
    const cCopy = ['--', '[', join(env.PATH.split(':')[0]!, 'nbdkit'), 'file', image, ']'];
    await runWell('nbdcopy', [...cCopy, `${raw}.3`]);
    assert.ok(readFileSync(`${raw}.3`).equals(bytes));
  });

  test('the pipeline of the README', async t => {
    if (!has(t, 'mke2fs', 'cmp')) return;
    const { env } = ourCommands(t);
    const folder = temporaryFolder(t);
    const image = await realDisk(folder, false);
    const command = `nbdkit -U - memory 1G --run 'nbdcopy "${image}" "$uri" && nbdcopy "$uri" -'`;
    const shell = `${command} | head -c ${16 * MIB} | cmp - "${image}"`;
    await runWell('sh', ['-c', shell], { env, cwd: folder });
  });

  test('failures: the exit status and one line that says what', async t => {
    if (!has(t, 'nbdkit', 'nbdcopy')) return;
    const { env } = ourCommands(t);
    const folder = temporaryFolder(t);
    const small = join(folder, 'small');
    writeFileSync(small, Buffer.alloc(MIB));
    const { uri } = await serving(t, env, 'full', '1M');
    const broken = ['--filter=error', 'pattern', '1M', 'error-pread=EIO', 'error-pread-rate=1'];
    const { uri: bad } = await serving(t, {}, ...broken);
    for (const args of [
      [join(folder, 'nothing'), uri],
      [small, `nbd+unix:///?socket=${join(folder, 'nothing')}`],
      [writePattern(join(folder, 'pattern')), uri],
      [bad, join(folder, 'copy')],
      [small],
      [small, small, small],
      ['--nonsense', small, uri],
    ]) {
      const ours = await run('nbdcopy', args, { env });
      const theirs = await run('nbdcopy', args);
      assert.equal(ours.status, theirs.status, args.join(' '));
      assert.notEqual(ours.status, 0);
      assert.match(ours.stderr, /^nbdcopy: /);
      assert.doesNotMatch(ours.stderr, /\n\s+at /);
    }
  });
});

function writePattern(path: string): string {
  writeFileSync(path, Buffer.alloc(MIB, 'pattern'));
  return path;
}

describe('nbdkit', () => {
  test('--run: its variables and its exit status', async t => {
    const { env } = ourCommands(t);
    const script =
      'echo "uri=$uri"; echo "nbd=$nbd"; echo "port=$port"; echo "unix=$unixsocket"; exit 7';
    const ours = await run('nbdkit', ['-U', '-', '-e', 'x y', 'memory', '1M', '--run', script], {
      env,
    });
    assert.equal(ours.status, 7);
    const values = new Map(
      ours.stdout.split('\n').map(line => line.split(/=(.*)/s).slice(0, 2) as [string, string]),
    );
    const socket = values.get('unix')!;
    assert.match(socket, /^\/.+socket$/);
    assert.equal(values.get('port'), '');
    assert.match(values.get('uri')!, /^nbd\+unix:\/\/\/x%20y\?socket=/);
    assert.ok(!existsSync(socket), 'the private socket is gone');
    if (!has(t, 'nbdkit')) return;
    for (const command of ['exit 0', 'exit 7', 'kill -TERM $$', 'nonexistent-command']) {
      const args = ['-U', '-', 'null', '1M', '--run', command];
      const theirs = await run('nbdkit', args);
      assert.equal((await run('nbdkit', args, { env })).status, theirs.status, command);
    }
  });

  test('in the background, and away after SIGTERM', async t => {
    const { env } = ourCommands(t);
    const { socket, pidFile, end, uri } = await serving(t, env, 'memory', '1M');
    assert.ok(existsSync(socket));
    assert.equal(await runWell('nbdinfo', ['--size', uri], { env }), '1048576\n');
    await end();
    assert.deepEqual([existsSync(socket), existsSync(pidFile)], [false, false]);
  });

  for (const signal of ['SIGTERM', 'SIGINT', 'SIGQUIT'] as const) {
    test(`in the foreground, and away after ${signal}`, async t => {
      const { env } = ourCommands(t);
      const folder = temporaryFolder(t);
      const socket = join(folder, 'socket');
      const pidFile = join(folder, 'pid');
      const args = ['-f', '-P', pidFile, '-U', socket, 'memory', '1M'];
      const child = spawn('nbdkit', args, { env: { ...process.env, ...env }, stdio: 'ignore' });
      const ended = new Promise(resolve => child.on('close', (...how) => resolve(how)));
      while (!existsSync(pidFile) && child.exitCode === null) {
        await new Promise(resolve => setTimeout(resolve, 20));
      }
      child.kill(signal);
      assert.deepEqual(await ended, [0, null]);
      assert.deepEqual([existsSync(socket), existsSync(pidFile)], [false, false]);
    });
  }

  test('bad words: one clear line and status 1', async t => {
    const { env } = ourCommands(t);
    const folder = temporaryFolder(t);
    const taken = join(folder, 'taken');
    writeFileSync(taken, '');
    const listener = net.createServer().listen(0, '127.0.0.1');
    await new Promise(resolve => listener.once('listening', resolve));
    t.after(() => listener.close());
    const { port } = listener.address() as net.AddressInfo;
    const inUse = ['-f', '-i', '127.0.0.1', '-p', `${port}`, 'null', '1M'];
    const cases: readonly (readonly [readonly string[], RegExp])[] = [
      [['memory', '1X'], /size: .*1X/],
      [['memory', '9E'], /size: .*9E/],
      [['memory'], /size: must be given/],
      [['memory', 'colour=red'], /unknown parameter 'colour'/],
      [['nonsense'], /nonsense/],
      [[], /plugin/],
      [['--nonsense', 'null'], /nonsense/],
      [['--filter=nonsense', 'null', '1M'], /nonsense/],
      [['file', join(folder, 'missing')], /missing/],
      [['-U', taken, 'null', '1M'], /taken/],
      [['-U', join(folder, 'x'.repeat(200)), 'null', '1M'], /socket|path|long/],
      [inUse, new RegExp(`${port}`)],
      [['-p', '99999', 'null', '1M'], /99999/],
      [['-t', 'many', 'null', '1M'], /many/],
    ];
    await Promise.all(
      cases.map(async ([args, expected]) => {
        const { status, stderr } = await run('nbdkit', args, { env });
        assert.equal(status, 1, args.join(' '));
        assert.match(stderr, /^nbdkit: [^\n]*\n$/, args.join(' '));
        assert.match(stderr, expected);
      }),
    );
  });

  test('--print-uri, --version, --help, --dump-plugin', async t => {
    const { env } = ourCommands(t);
    assert.match(await runWell('nbdkit', ['--version'], { env }), /^nbdkit \d+\.\d+/);
    assert.match(await runWell('nbdkit', ['--help'], { env }), /--filter/);
    assert.match(await runWell('nbdkit', ['memory', '--help'], { env }), /size/);
    assert.match(await runWell('nbdkit', ['memory', '--dump-plugin'], { env }), /^name=memory$/m);
    const args = ['-U', '-', '--print-uri', 'memory', '1M', '--run', 'echo "$uri"'];
    assert.match(await runWell('nbdkit', args, { env }), /nbd\+unix:\/\//);
  });

  test('-s: the standard input and output', async t => {
    if (!has(t, 'nbdinfo')) return;
    const { path } = ourCommands(t);
    const args = ['--size', '--', '[', join(path, 'nbdkit'), '-s', 'memory', '3M', ']'];
    const activated = args.filter(word => word !== '-s');
    assert.equal(await runWell('nbdinfo', activated), '3145728\n');
    const client = await connectCommand([join(path, 'nbdkit'), '-s', 'memory', '3M']);
    assert.equal(client.size, 3145728n);
    await client.write!(0n, Buffer.alloc(MIB, 1));
    await client.close();
    const stdin = await run(join(path, 'nbdkit'), ['-s', 'memory', '3M'], { input: 'garbage' });
    assert.equal(stdin.stdout.slice(0, 16), 'NBDMAGICIHAVEOPT');
  });
});

test('a relative TMPDIR is that of the start, also in the background', async t => {
  const env = { ...ourCommands(t).env, TMPDIR: '.' };
  const { uri } = await serving(t, env, '--filter=cow', 'memory', '1M');
  await runWell('nbdcopy', ['-', uri], { env, input: 'written' });
});
