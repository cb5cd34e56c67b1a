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
import { zeroes } from '../../block/data.ts';
import type { BlockDevice, Extent } from '../../block/device.ts';
import { BlockError } from '../../block/errors.ts';
import { sourceOf } from '../../declare/declare.ts';
import { Server } from '../../server/server.ts';
import { sparseStore } from '../../stores/sparse.ts';
import { parseCommandLine } from '../cli.ts';
import { copyDevices } from './engine.ts';
import { OPTIONS, readSettings } from './options.ts';
import { bar } from './progress.ts';
import { putSparse } from './sparse.ts';
import { type Piece, Work } from './work.ts';

const folder = mkdtempSync(join(tmpdir(), 'nbdpipe-test-'));
after(() => rmSync(folder, { recursive: true }));

/** A device of which only the map is asked. */
function mapped(size: number, extents: readonly Extent[]): BlockDevice {
  return {
    size: BigInt(size),
    read: () => assert.fail('nothing is to be read'),
    extents: (offset, length) => {
      let at = 0;
      const end = Number(offset) + length;
      const found: Extent[] = [];
      for (const extent of extents) {
        const from = Math.max(at, Number(offset));
        at += extent.length;
        if (from < Math.min(at, end)) found.push({ ...extent, length: Math.min(at, end) - from });
      }
      // As servers may, one at a time.
      return found.slice(0, 1);
    },
  };
}

const data = (length: number): Extent => ({ length, hole: false, zero: false });
const hole = (length: number): Extent => ({ length, hole: true, zero: true });
const dirtyHole = (length: number): Extent => ({ length, hole: true, zero: false });

async function piecesOf(work: Work): Promise<string[]> {
  const found: string[] = [];
  for (let piece = await work.next(); piece; piece = await work.next()) {
    found.push(`${piece.offset}+${piece.length}${piece.zero ? 'z' : ''}`);
  }
  return found;
}

test('work: data in pieces, zeroes in one, and only what reads as zeroes is zero', async () => {
  const device = mapped(100, [data(25), hole(40), dirtyHole(5), data(5), hole(25)]);
  const expected = ['0+10', '10+10', '20+5', '25+40z', '65+5', '70+5', '75+25z'];
  assert.deepEqual(await piecesOf(new Work(device, true, 10, 1)), expected);
  const short = ['0+25', '25+30z', '55+10z', '65+5', '70+5', '75+25z'];
  assert.deepEqual(await piecesOf(new Work(device, true, 60, 1, 30)), short);
  assert.deepEqual(await piecesOf(new Work(device, false, 60, 1)), ['0+60', '60+40']);
  assert.deepEqual(await piecesOf(new Work({ ...device, size: 0n }, true, 10, 1)), []);
});

test('work: data grows to whole blocks', async () => {
  const device = mapped(100, [data(25), hole(40), data(5), hole(30)]);
  const found = await piecesOf(new Work(device, true, 1000, 16));
  assert.deepEqual(found, ['0+32', '32+32z', '64+16', '80+20z']);
  const thin = mapped(64, [hole(7), data(1), hole(8), data(1), hole(47)]);
  assert.deepEqual(await piecesOf(new Work(thin, true, 1000, 16)), ['0+16', '16+16', '32+32z']);
});

test('work: several askers get every piece once', async () => {
  const device = mapped(100, [data(50), hole(50)]);
  const slow: BlockDevice = {
    ...device,
    extents: async (offset, length) => {
      await new Promise(resolve => setImmediate(resolve));
      return device.extents!(offset, length);
    },
  };
  const work = new Work(slow, true, 10, 1);
  const pieces = await Promise.all(Array.from({ length: 10 }, () => work.next()));
  const offsets = pieces.filter(piece => piece !== undefined).map(piece => Number(piece.offset));
  assert.deepEqual(
    offsets.sort((a, b) => a - b),
    [0, 10, 20, 30, 40, 50],
  );
});

test('work: a source without an answer is an error, not a hang', async () => {
  const device: BlockDevice = { size: 10n, read: () => zeroes(1), extents: () => [] };
  await assert.rejects(async () => new Work(device, true, 10, 1).next(), /gave no extents/);
});

async function put(offset: number, bytes: Uint8Array, block: number): Promise<string[]> {
  const calls: string[] = [];
  const sink = {
    write: (at: bigint, view: Uint8Array) => {
      calls.push(`w${at}+${view.length}`);
    },
    zero: (at: bigint, length: number) => {
      calls.push(`z${at}+${length}`);
    },
  };
  await putSparse(sink, BigInt(offset), [bytes, zeroes(4) as Uint8Array], block);
  return calls;
}

test('blocks of zeroes are found where blocks lie on the disk', async () => {
  const bytes = Buffer.alloc(20);
  bytes[0] = 1;
  bytes[17] = 1;
  assert.deepEqual(await put(0, bytes, 4), ['w0+4', 'z4+12', 'w16+4', 'z20+4']);
  assert.deepEqual(await put(2, bytes, 4), ['w2+2', 'z4+12', 'w16+4', 'z20+2', 'z22+4']);
  assert.deepEqual(await put(0, bytes, 0), ['w0+20', 'w20+4']);
  assert.deepEqual(await put(0, Buffer.alloc(6), 4), ['z0+6', 'z6+4']);
  assert.deepEqual(await put(0, Buffer.alloc(5, 7), 4), ['w0+5', 'z5+4']);
});

/** A memory to copy to, which also counts. */
function memory(size: number) {
  const bytes = Buffer.alloc(size, 0xee);
  const counts = { under: 0, most: 0, zeroed: 0 };
  const device: BlockDevice = {
    size: BigInt(size),
    read: (offset, length) => bytes.subarray(Number(offset), Number(offset) + length),
    write: async (offset, view) => {
      counts.most = Math.max(counts.most, ++counts.under);
      await new Promise(resolve => setImmediate(resolve));
      bytes.set(view, Number(offset));
      counts.under -= 1;
    },
    zero: (offset, length) => {
      counts.zeroed += length;
      bytes.fill(0, Number(offset), Number(offset) + length);
    },
  };
  return { bytes, counts, device };
}

const PLAIN = { allocated: false, isZero: false, block: 0, requestSize: 1000, advance: () => {} };

test('the engine copies everything and keeps to its slots', async () => {
  const source = memory(100_000);
  source.bytes.forEach((_, index) => {
    source.bytes[index] = index % 251;
  });
  const target = memory(100_000);
  let done = 0;
  await copyDevices(new Work(source.device, true, 1000, 1), {
    ...PLAIN,
    sources: [source.device],
    destinations: [target.device],
    slots: 7,
    advance: bytes => {
      done += bytes;
    },
  });
  assert.ok(target.bytes.equals(source.bytes));
  assert.equal(target.counts.most, 7);
  assert.equal(done, 100_000);
});

test('the first failure ends the copy, with its offset', async () => {
  const target = memory(100_000);
  let reads = 0;
  const source: BlockDevice = {
    size: 100_000n,
    read: (offset, length) => {
      reads += 1;
      if (offset === 5000n) throw new BlockError('EIO', 'bad sector');
      return Buffer.alloc(length, 1);
    },
  };
  const options = { ...PLAIN, sources: [source], destinations: [target.device], slots: 2 };
  await assert.rejects(copyDevices(new Work(source, true, 1000, 1), options), {
    name: 'BlockError',
    message: 'read at offset 5000 failed: bad sector',
    offset: 5000n,
    errno: 'EIO',
  });
  assert.ok(reads < 20);
  assert.equal(target.counts.under, 0);
});

test('where pieces cannot be moved they are copied', async () => {
  const source = memory(5000);
  source.bytes.fill(3);
  const target = memory(5000);
  const moved: Piece[] = [];
  await copyDevices(new Work(source.device, true, 1000, 1), {
    ...PLAIN,
    sources: [source.device],
    destinations: [target.device],
    slots: 1,
    move: async piece => {
      if (moved.length === 2) return false;
      moved.push(piece);
      return true;
    },
  });
  assert.equal(moved.length, 2);
  assert.equal(target.bytes.indexOf(3), 2000);
  assert.equal(target.bytes.lastIndexOf(3), 4999);
});

test('options: what is out of bounds is refused', () => {
  const settings = (...argv: string[]) => readSettings(parseCommandLine(OPTIONS, argv).given);
  assert.equal(settings('--request-size=64k').requestSize, 65536);
  assert.equal(settings('-S', '0').sparse, 0);
  assert.equal(settings('-p').progress, 'bar');
  assert.equal(settings('--progress=3').progress, 3);
  for (const bad of [
    '-R0',
    '-C0',
    '-T-1',
    '-S3',
    '-S768',
    '--request-size=64M',
    '--queue-size=x',
  ]) {
    assert.throws(() => settings(bad), /^UsageError: --[a-z-]+: .*(cannot|expected)/, bad);
  }
});

test('the bar', () => {
  assert.equal(bar(0, false, 0), `▝   0% [${'-'.repeat(40)}]\r`);
  assert.equal(bar(50, false, 1), `▐  50% [${'*'.repeat(20)}${'-'.repeat(20)}]\r`);
  assert.equal(bar(100, true, 5), `█ 100% [${'*'.repeat(40)}]\n`);
});

const COMMAND = [
  '--import',
  import.meta.resolve('tsx'),
  new URL('./nbdcopy.ts', import.meta.url).pathname,
];

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
  refused(/nbd:\/\/localhost:1/, 'nbd://localhost:1', join(folder, 'never'));
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
