import assert from 'node:assert/strict';
import {
  closeSync,
  existsSync,
  ftruncateSync,
  mkdtempSync,
  openSync,
  readSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { blockDeviceSize, isRotational } from './blkdev.ts';
import { CachedIo } from './cached-io.ts';
import { copyRange } from './copy-range.ts';
import { advise, writeOutAndDrop } from './fadvise.ts';
import { punchHole, zeroRange } from './fallocate.ts';
import { farWrite } from './far-write.ts';
import { fileExtents, nextData } from './holes.ts';
import { discardPages, largePages } from './large-pages.ts';
import { addressOf, SystemError } from './libc.ts';
import { lockMemory } from './mlock.ts';
import { loadZstd } from './zstd.ts';

const linux = process.platform === 'linux' ? false : 'needs linux';
const folder = mkdtempSync(join(tmpdir(), 'nbdpipe-posix-'));
const open: number[] = [];
after(() => {
  for (const fd of open) closeSync(fd);
  rmSync(folder, { recursive: true });
});

function file(name: string, content: Uint8Array = Buffer.alloc(0)): number {
  writeFileSync(join(folder, name), content);
  const fd = openSync(join(folder, name), 'r+');
  open.push(fd);
  return fd;
}

test('holes are found where nothing was written', { skip: linux }, () => {
  const fd = file('holes');
  ftruncateSync(fd, 4 << 20);
  writeSync(fd, Buffer.alloc(65536, 1), 0, 65536, 1 << 20);
  assert.equal(nextData(fd, 0n, 4n << 20n), 1n << 20n);
  assert.equal(nextData(fd, 2n << 20n, 4n << 20n), 4n << 20n);
  assert.deepEqual(fileExtents(fd, 4096n, (4 << 20) - 4096), [
    { length: (1 << 20) - 4096, hole: true, zero: true },
    { length: 65536, hole: false, zero: false },
    { length: (3 << 20) - 65536, hole: true, zero: true },
  ]);
});

test('a hole is punched, a range zeroed, and the size stays', { skip: linux }, async () => {
  const fd = file('punch', Buffer.alloc(1 << 20, 7));
  const before = statSync(join(folder, 'punch')).blocks;
  if (!(await punchHole(fd, 65536n, 131072))) return;
  await zeroRange(fd, 524288n, 4096);
  const stat = statSync(join(folder, 'punch'));
  assert.equal(stat.size, 1 << 20);
  assert.ok(stat.blocks < before);
  const bytes = Buffer.alloc(1);
  readSync(fd, bytes, 0, 1, 65536);
  assert.equal(bytes[0], 0);
  readSync(fd, bytes, 0, 1, 65535);
  assert.equal(bytes[0], 7);
});

test('a failed call says why', { skip: linux }, async () => {
  const isBadDescriptor = (error: unknown) =>
    error instanceof SystemError && error.code === 'EBADF' && error.errno === 'EIO';
  assert.throws(() => punchHole(9999, 0n, 512), isBadDescriptor);
  await assert.rejects(async () => await punchHole(9999, 0n, 1 << 30), isBadDescriptor);
  assert.throws(() => nextData(9999, 0n, 1n), isBadDescriptor);
});

test('cached bytes are read at once, and less at the end', { skip: linux }, () => {
  const fd = file('cached', Buffer.from('0123456789'));
  const bytes = Buffer.allocUnsafe(8);
  const count = new CachedIo(fd).read(bytes, 4n);
  if (count === undefined) return;
  assert.equal(bytes.toString('latin1', 0, count), '456789');
  assert.equal(new CachedIo(9999).read(bytes, 0n), undefined);
});

test('a file in memory is read and written at once', { skip: linux }, t => {
  if (!existsSync('/dev/shm')) return t.skip('needs /dev/shm');
  const path = join('/dev/shm', `nbdpipe-${process.pid}`);
  writeFileSync(path, '0123456789');
  const fd = openSync(path, 'r+');
  try {
    const io = new CachedIo(fd);
    assert.equal(io.write(Buffer.from('ab'), 3n), 2);
    const bytes = Buffer.alloc(20);
    assert.equal(io.read(bytes, 2n), 8);
    assert.equal(bytes.toString('latin1', 0, 8), '2ab56789');
    assert.equal(new CachedIo(9999).write(Buffer.from('x'), 0n), undefined);
  } finally {
    closeSync(fd);
    rmSync(path);
  }
});

test('the kernel copies from file to file', { skip: linux }, async () => {
  const from = file('from', Buffer.from('abcdefgh'));
  const to = file('to', Buffer.from('........'));
  if ((await copyRange(from, 2n, to, 1n, 4)) === undefined) return;
  const bytes = Buffer.alloc(8);
  readSync(to, bytes, 0, 8, 0);
  assert.equal(bytes.toString(), '.cdef...');
  assert.equal(await copyRange(from, 100n, to, 0n, 4), 0);
});

test('a far write lands at its offset or fails in words', { skip: linux }, async () => {
  const fd = file('far', Buffer.from('....'));
  assert.equal(await farWrite(fd, Buffer.from('xy'), 1n), 2);
  const bytes = Buffer.alloc(4);
  readSync(fd, bytes, 0, 4, 0);
  assert.equal(bytes.toString(), '.xy.');
  await assert.rejects(farWrite(9999, bytes, 0n), /pwrite: bad file descriptor/);
});

test('advice and writing out do no harm', { skip: linux }, async () => {
  const fd = file('advice', Buffer.alloc(8192, 3));
  advise(fd, 'random', 0n, 0);
  await writeOutAndDrop(fd, 0n, 8192);
  const bytes = Buffer.alloc(1);
  readSync(fd, bytes, 0, 1, 8191);
  assert.equal(bytes[0], 3);
});

test('what is not a block device says so', { skip: linux }, () => {
  assert.throws(() => blockDeviceSize(file('plain')), SystemError);
  assert.equal(isRotational(0xfff00n), undefined);
});

test('memory is locked or the limit is named', { skip: linux }, () => {
  const bytes = Buffer.allocUnsafeSlow(4096);
  try {
    assert.equal(lockMemory(bytes), true);
  } catch (error) {
    assert.match(String(error), /mlock: /);
  }
});

test('zstd gives back what it packed and notices damage', t => {
  const zstd = loadZstd();
  if (!zstd) return t.skip('needs libzstd.so.1');
  const page = Buffer.alloc(32768, 'nbdpipe ');
  const packed = zstd.compress(page);
  assert.ok(packed.length < 1000);
  assert.ok(page.equals(zstd.decompress(packed, page.length)));
  assert.throws(() => zstd.decompress(packed, 100));
  assert.throws(() => zstd.decompress(packed, page.length * 2));
  assert.throws(() => zstd.decompress(packed.subarray(0, 10), page.length));
});

test('large pages are aligned and zero, and zero again when discarded', { skip: linux }, () => {
  const bytes = largePages(5 << 20)!;
  assert.equal(bytes.length, 5 << 20);
  assert.equal(addressOf(bytes) % BigInt(1 << 21), 0n);
  assert.ok(bytes.every(byte => byte === 0));
  bytes.fill(7);
  discardPages(bytes.subarray(5000, 20_000));
  const zeroes = Array.from(bytes.subarray(0, 24_576).entries()).filter(([, byte]) => byte === 0);
  assert.deepEqual([zeroes.length, zeroes[0]![0], zeroes.at(-1)![0]], [8192, 8192, 16_383]);
});
