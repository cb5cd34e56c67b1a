import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  ftruncateSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { commandOf } from '../../../test/peer/command.ts';
import type { BlockDevice } from '../../block/device.ts';
import { BlockError } from '../../block/errors.ts';
import { sourceOf } from '../../declare/declare.ts';
import { Server } from '../../server/server.ts';
import { sparseStore } from '../../stores/sparse.ts';
import { parseCommandLine } from '../cli.ts';
import { OPTIONS, readSettings } from './options.ts';
import { Pace } from './pace.ts';
import { bar } from './progress.ts';

const folder = mkdtempSync(join(tmpdir(), 'nbdpipe-test-'));
after(() => rmSync(folder, { recursive: true }));

test('options: what is out of bounds is refused', () => {
  const settings = (...argv: string[]) => readSettings(parseCommandLine(OPTIONS, argv).given);
  assert.equal(settings('--request-size=64k').requestSize, 65536);
  assert.equal(settings('-S', '0').sparse, 0);
  assert.equal(settings('-p').progress, 'bar');
  assert.equal(settings('--progress=3').progress, 3);
  const standard = { digest: 'sha256', blockSize: 65_536 };
  assert.deepEqual(settings('--blkhash').blkhash, standard);
  assert.deepEqual(settings('--blkhash-file=x').blkhash, standard);
  assert.deepEqual(settings('--blkhash=md5/4k').blkhash, { digest: 'md5', blockSize: 4096 });
  for (const bad of [
    '-R0',
    '-C0',
    '-T-1',
    '-S3',
    '-S768',
    '--request-size=64M',
    '--queue-size=x',
    '--blkhash=sha3',
    '--blkhash=sha256/3k',
    '--blkhash=sha256/64k/',
  ]) {
    assert.throws(() => settings(bad), /^UsageError: --[a-z-]+: .*(cannot|expected)/, bad);
  }
});

test('the bar', () => {
  assert.equal(bar(0, 0), `▝   0% [${'-'.repeat(40)}]`);
  assert.equal(bar(50, 1), `▐  50% [${'*'.repeat(20)}${'-'.repeat(20)}]`);
  assert.equal(bar(100, undefined), `█ 100% [${'*'.repeat(40)}]`);
  assert.equal(bar(undefined, 2), '▗');
});

test('the pace: of late, with the time left', () => {
  const pace = new Pace(100 << 20, 0);
  assert.deepEqual([pace.percent, pace.short(), pace.sentence()], [0, '', '0% of 100.0 MiB']);
  pace.begin(10 << 20);
  pace.advance(20 << 20);
  pace.mark(2000);
  assert.equal(pace.sentence(), '30% of 100.0 MiB, 10.0 MiB/s, 0:07 left');
  // A long silence is forgotten.
  pace.mark(100_000);
  pace.advance(5 << 20);
  pace.mark(105_000);
  assert.equal(pace.short(), '1.0 MiB/s, 1:05 left');
  pace.advance(65 << 20);
  assert.equal(pace.percent, 99);
  assert.equal(pace.summary(3_725_000), '90.0 MiB in 1:02:05, 24.7 KiB/s');
  const unknown = new Pace(undefined, 0);
  unknown.advance(512);
  unknown.mark(1000);
  assert.deepEqual([unknown.percent, unknown.sentence()], [undefined, '512 B, 512 B/s']);
  assert.equal(new Pace(0).percent, 0);
});

const COMMAND = commandOf('nbdcopy');

function nbdcopy(...argv: string[]) {
  return spawnSync(process.execPath, [...COMMAND, ...argv], { encoding: 'utf8' });
}

/** A sparse file with data at its beginning, in the middle and at its ragged end. */
function sparseFile(name: string): string {
  const path = join(folder, name);
  const fd = openSync(path, 'w');
  ftruncateSync(fd, 3_000_001);
  for (const offset of [0, 1_500_000, 3_000_000]) writeSync(fd, 'x', offset);
  return path;
}

test('files: the same bytes, and no more blocks', () => {
  const source = sparseFile('sparse');
  const target = join(folder, 'copy');
  for (const options of [[], ['-S', '4096'], ['--no-extents'], ['--synchronous'], ['--flush']]) {
    rmSync(target, { force: true });
    const { status, stderr } = nbdcopy(...options, source, target);
    assert.deepEqual([status, stderr], [0, ''], options.join());
    assert.ok(readFileSync(target).equals(readFileSync(source)), options.join());
    assert.ok(statSync(target).blocks <= Math.max(statSync(source).blocks, 3 * 8), options.join());
  }
  nbdcopy('--allocated', source, target);
  assert.ok(statSync(target).blocks * 512 >= 3_000_001);
  assert.ok(readFileSync(target).equals(readFileSync(source)));
});

/** What it says on standard error, without a terminal of its own wherever the tests run. */
async function withoutTerminal(...argv: string[]): Promise<string> {
  const child = spawn(process.execPath, [...COMMAND, ...argv], { stdio: 'pipe', detached: true });
  let errors = '';
  child.stderr.on('data', bytes => {
    errors += bytes;
  });
  await once(child, 'close');
  return errors;
}

test('progress: whole lines where there is no terminal, numbers for programs', async () => {
  const source = sparseFile('for-progress');
  const lines = await withoutTerminal('-p', source, 'null:');
  assert.match(lines, /^nbdcopy: 2\.9 MiB in 0:\d\d, [\d.]+ [KMG]iB\/s\n$/);
  const numbers = await withoutTerminal('--progress=2', source, 'null:');
  assert.match(numbers, /^0\/100\n(\d+\/100\n)*100\/100\n$/);
});

test('Ctrl-C leaves no server in brackets behind', async () => {
  const file = join(folder, 'pid');
  const silent = `echo $$ > '${file}.new'; mv '${file}.new' '${file}'; exec sleep 1000`;
  const words = ['--', '[', 'sh', '-c', silent, ']', 'null:'];
  const child = spawn(process.execPath, [...COMMAND, ...words], { stdio: 'ignore' });
  const closed = once(child, 'close');
  const moment = () => new Promise(resolve => setTimeout(resolve, 20));
  while (!existsSync(file)) await moment();
  child.kill('SIGINT');
  assert.deepEqual(await closed, [null, 'SIGINT']);
  const pid = Number(readFileSync(file, 'utf8'));
  assert.throws(() => process.kill(pid, 0), { code: 'ESRCH' });
});

test('pipes: from one, to one, and through', () => {
  const source = sparseFile('for-pipes');
  const run = (words: string) =>
    execFileSync('sh', ['-c', words, 'sh', process.execPath, ...COMMAND], {
      cwd: folder,
      maxBuffer: 1 << 26,
    });
  const expected = readFileSync(source);
  assert.ok(run(`"$@" for-pipes -`).equals(expected));
  assert.ok(run(`"$@" - - < for-pipes | cat`).equals(expected));
  assert.ok(run(`cat for-pipes | "$@" --blkhash-file=hash - -`).equals(expected));
  assert.ok(run(`cat hash; rm hash`).equals(run(`"$@" --blkhash for-pipes null:`)));
  run(`cat for-pipes | "$@" - from-pipe`);
  assert.ok(readFileSync(join(folder, 'from-pipe')).equals(expected));
  assert.ok(statSync(join(folder, 'from-pipe')).blocks < 100);
});

test('a reader that leaves early ends the copy without a word', async () => {
  const child = spawn(process.execPath, [...COMMAND, '/dev/zero', '-'], { stdio: 'pipe' });
  let errors = '';
  child.stderr.on('data', bytes => {
    errors += bytes;
  });
  child.stdout.once('data', () => child.stdout.destroy());
  const [status] = await once(child, 'close');
  assert.deepEqual([status, errors], [141, '']);
});

test('a failure ends the copy though nothing more comes from the pipe', async t => {
  const server = new Server({ source: sourceOf(() => failing) });
  t.after(() => server.close());
  const path = join(folder, 'failing');
  await server.listen({ path });
  const words = ['--request-size=4096', '-', `nbd+unix:///?socket=${path}`];
  const child = spawn(process.execPath, [...COMMAND, ...words], { stdio: 'pipe' });
  let errors = '';
  child.stderr.on('data', bytes => {
    errors += bytes;
  });
  // It stays open.
  child.stdin.write(Buffer.alloc(5000, 1));
  const [status] = await once(child, 'exit');
  assert.equal(status, 1);
  assert.match(errors, /^nbdcopy: write at offset 0 failed: /);
});

/** Has no room. */
const failing: BlockDevice = {
  size: 1n << 20n,
  read: () => {
    throw new BlockError('EIO', 'it cannot be read');
  },
  write: () => {
    throw new BlockError('ENOSPC', 'it is full');
  },
};

test('what cannot be copied is one line, and nothing is lost', () => {
  const source = sparseFile('source');
  const refused = (why: RegExp, ...argv: string[]) => {
    const { status, stderr } = nbdcopy(...argv);
    assert.equal(status, 1);
    assert.match(stderr, why);
    assert.equal(stderr.split('\n').length, 2, stderr);
  };
  refused(/^nbdcopy: expected SOURCE DESTINATION: see --help$/m, source);
  refused(/source and destination are the same file/, source, source);
  refused(/missing: no such file/, join(folder, 'missing'), join(folder, 'never'));
  refused(/is a directory/, folder, join(folder, 'never'));
  refused(/is a directory/, source, folder);
  refused(/null: can only be the destination/, 'null:', join(folder, 'never'));
  refused(/--blkhash: the copy goes to standard output/, '--blkhash', source, '-');
  refused(/nbd:\/\/localhost:1/, 'nbd://localhost:1', join(folder, 'never'));
  refused(/an address on the web can only be the source/, source, 'https://localhost/never');
  assert.equal(existsSync(join(folder, 'never')), false);
  assert.equal(readFileSync(source).length, 3_000_001);
});

test('one connection where both ends are local, four over TCP, and as many as asked for', async t => {
  let opened = 0;
  const disk = sparseStore(1n << 20n);
  const open = () => {
    opened += 1;
    return disk;
  };
  const server = new Server({ source: sourceOf(open) });
  t.after(() => server.close());
  const path = join(folder, 'counted');
  await server.listen({ path });
  const address = await server.listen({ host: '127.0.0.1', port: 0 });
  const local = `nbd+unix:///?socket=${path}`;
  const remote = `nbd://127.0.0.1:${(address as AddressInfo).port}`;
  const expected: [string[], number][] = [
    [[local, 'null:'], 1],
    [[remote, 'null:'], 4],
    [['-C', '3', local, 'null:'], 3],
    [[local, remote], 8],
  ];
  for (const [words, count] of expected) {
    opened = 0;
    const child = spawn(process.execPath, [...COMMAND, ...words], { stdio: 'inherit' });
    assert.deepEqual(await once(child, 'close'), [0, null]);
    assert.equal(opened, count, words.join(' '));
  }
});

test('a full disk is an error with the offset', { skip: !existsSync('/dev/full') }, () => {
  const source = join(folder, 'small');
  writeFileSync(source, 'x'.repeat(1000));
  const { status, stderr } = nbdcopy(source, '/dev/full');
  assert.equal(status, 1);
  assert.match(stderr, /^nbdcopy: write at offset 0 failed: .*no space left/);
});
