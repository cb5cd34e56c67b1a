import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Worker } from 'node:worker_threads';
import { contiguous, isKnownZero, isZero, viewsOf, zeroes } from '../block/data.ts';
import type { BlockDevice } from '../block/device.ts';
import { memoryStore, remakeMemory } from './allocator.ts';
import { Bitmap } from './bitmap.ts';
import { MappedPages } from './mapped.ts';
import { PAGE } from './pages.ts';
import { SharedLock } from './shared-lock.ts';
import { sparseStore } from './sparse.ts';

const SIZE = 128 << 20;
const MIB = 1 << 20;
const skip = process.platform !== 'linux' && 'only Linux maps memory';

test('a bitmap finds bits across its words', () => {
  const bits = new Bitmap(200);
  bits.set(31, 33);
  bits.set(64, 160);
  const present = [0, 32, 33, 70, 160].map(page => bits.nextPresent(page, 200));
  assert.deepEqual(present, [31, 32, 64, 70, 200]);
  const absent = [0, 31, 64, 159, 200].map(page => bits.nextAbsent(page, 200));
  assert.deepEqual(absent, [0, 33, 160, 160, 200]);
  assert.equal(bits.nextPresent(0, 20), 20);
  assert.equal(bits.nextAbsent(64, 100), 100);
  const other = new Bitmap(bits.words);
  other.clear(65, 159);
  assert.equal(bits.nextAbsent(64, 200), 65);
  assert.equal(bits.nextPresent(65, 200), 159);
});

/** A disk and the same one as another thread has it. */
function twice(): [BlockDevice, BlockDevice] {
  const disk = memoryStore(BigInt(SIZE), 'sparse');
  assert.ok(!disk.recipe, 'no memory before the first write');
  disk.write!(0n, Buffer.alloc(1, 1));
  return [
    disk,
    remakeMemory(structuredClone(disk.recipe!.from) as Parameters<typeof remakeMemory>[0]),
  ];
}

test('two threads see the same pages and holes', { skip }, () => {
  const [one, other] = twice();
  assert.equal(other.size, one.size);
  other.write!(BigInt(SIZE - 10), Buffer.from('0123456789'));
  assert.equal(
    Buffer.from(contiguous(one.read(BigInt(SIZE - 10), 10) as Buffer)).toString(),
    '0123456789',
  );
  assert.deepEqual(one.extents!(0n, SIZE), other.extents!(0n, SIZE));
  one.trim!(0n, SIZE);
  assert.ok(isKnownZero(other.read(0n, 4096) as Uint8Array));
  assert.deepEqual(other.extents!(0n, SIZE), [{ length: SIZE, hole: true, zero: true }]);
});

test('a page begins with zeroes, whatever was written while it was trimmed', { skip }, () => {
  const [one, other] = twice();
  const lent = one.writeBuffer!(0n, PAGE)!.memory as Buffer;
  other.zero!(0n, PAGE, { mayTrim: true });
  lent.fill(7);
  assert.ok(isZero(other.read(0n, PAGE) as Uint8Array));
  other.write!(100n, Buffer.alloc(1, 1));
  const page = Buffer.from(contiguous(one.read(0n, PAGE) as Buffer));
  assert.equal(page[100], 1);
  page[100] = 0;
  assert.ok(isZero(page));
});

test('what was put into a trimmed page does not come back, whatever happens around it', {
  skip,
}, () => {
  for (const forget of ['trim', 'zero'] as const) {
    const [one, other] = twice();
    const place = BigInt(3 * MIB);
    const buffer = one.writeBuffer!(place, 65536)!;
    const lent = buffer.memory as Buffer;
    lent.fill(7, 0, 1000);
    other[forget]!(BigInt(2 * MIB), 2 * MIB, { mayTrim: true });
    other.write!(BigInt(2 * MIB), Buffer.alloc(MIB / 2, 2));
    lent.fill(7, 1000);
    buffer.done();
    assert.ok(isZero(one.read(place, 65536) as Uint8Array));
    other.write!(place, Buffer.alloc(1, 5));
    const page = Buffer.from(contiguous(one.read(place, 65536) as Buffer));
    assert.equal(page[0], 5);
    assert.ok(isZero(page.subarray(1)), `bytes come back after ${forget}`);
  }
});

test('a page that is trimmed as soon as it is there is still what is written to', { skip }, () => {
  const pages = MappedPages.create(SIZE)!;
  const provide = pages.provide.bind(pages);
  pages.provide = (first, end) => {
    provide(first, end);
    pages.release(first, end);
  };
  const disk = sparseStore(BigInt(SIZE), () => pages);
  for (const view of viewsOf(disk.writeBuffer!(100n, PAGE)!.memory)) assert.ok(!isKnownZero(view));
  disk.write!(0n, Buffer.alloc(PAGE, 7));
  assert.ok(isZero(zeroes(PAGE) as Uint8Array));
});

test('memory is taken where it is written, and given back', { skip }, () => {
  const disk = memoryStore(1n << 40n, 'sparse');
  const resident = () => process.memoryUsage.rss();
  const before = resident();
  for (let at = 0; at < 200; at++) disk.write!(BigInt(at) << 32n, Buffer.alloc(1, 1));
  assert.ok(resident() - before < 40 * MIB, `${resident() - before} bytes for 200 pages`);
  const start = 1n << 39n;
  for (let at = 0; at < SIZE; at += MIB) disk.write!(start + BigInt(at), Buffer.alloc(MIB, 7));
  const full = resident();
  disk.trim!(start, SIZE);
  assert.ok(full - resident() > SIZE / 2, `${full - resident()} bytes given back`);
});

test('pages that are trimmed leave no large page behind', { skip }, () => {
  const disk = memoryStore(BigInt(SIZE), 'sparse');
  const before = process.memoryUsage.rss();
  for (let at = 2 * MIB; at < SIZE; at += 2 * MIB) {
    disk.write!(BigInt(at - 1), Buffer.alloc(2, 1));
    disk.trim!(BigInt(at - PAGE), 2 * PAGE);
  }
  const left = process.memoryUsage.rss() - before;
  assert.ok(left < 20 * MIB, `${left} bytes left`);
});

test('memory is unmapped when neither the disk nor what it gave is in use', { skip }, async () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const mapped = () =>
    Number(/^VmSize:\s+(\d+)/m.exec(readFileSync('/proc/self/status', 'latin1'))![1]);
  const TIB = 2 ** 30;
  const written = () => {
    const disk = memoryStore(1n << 40n, 'sparse');
    disk.write!(5n, Buffer.from('x'));
    return disk.read(5n, 1) as Uint8Array;
  };
  const collected = async () => {
    for (let size = 0; size !== mapped(); ) {
      size = mapped();
      collect();
      await new Promise(resolve => setTimeout(resolve, 100));
    }
    return mapped();
  };
  const before = await collected();
  const kept = written();
  for (let count = 0; count < 9; count++) written();
  assert.ok(mapped() - before > 9 * TIB);
  const after = (await collected()) - before;
  assert.equal(Buffer.from(kept).toString(), 'x');
  assert.ok(after > TIB / 2 && after < 2 * TIB, `${after} KiB`);
});

test('one thread at a time has the lock, and whoever dies with it has it no more', {
  skip,
}, async () => {
  const lock = new SharedLock();
  const counter = new Int32Array(new SharedArrayBuffer(4));
  const module = JSON.stringify(fileURLToPath(new URL('./shared-lock.ts', import.meta.url)));
  const program = `
    require('tsx/cjs');
    const { SharedLock } = require(${module});
    const { word, counter } = require('node:worker_threads').workerData;
    const lock = new SharedLock(word);
    for (let round = 0; round < 20000; round++) lock.run(() => { counter[0] = counter[0] + 1; });
    lock.run(() => process.exit());
  `;
  const workerData = { word: lock.word, counter };
  const worker = new Worker(program, { eval: true, workerData });
  const ended = new Promise(resolve => worker.once('exit', resolve));
  for (let round = 0; round < 20_000; round++)
    lock.run(() => {
      counter[0] = counter[0]! + 1;
    });
  await ended;
  assert.notEqual(lock.word[0], 0);
  lock.run(() => {
    assert.equal(counter[0], 40_000);
  });
});

test('a thread that is held up keeps its lock', { skip }, async () => {
  const lock = new SharedLock();
  const inside = new Int32Array(new SharedArrayBuffer(8));
  const module = JSON.stringify(fileURLToPath(new URL('./shared-lock.ts', import.meta.url)));
  const program = `
    require('tsx/cjs');
    const { SharedLock } = require(${module});
    const { word, inside } = require('node:worker_threads').workerData;
    new SharedLock(word).run(() => {
      Atomics.store(inside, 0, 1);
      Atomics.notify(inside, 0);
      Atomics.wait(inside, 1, 0, 1000);
      Atomics.store(inside, 0, 0);
    });
  `;
  const worker = new Worker(program, { eval: true, workerData: { word: lock.word, inside } });
  const ended = new Promise(resolve => worker.once('exit', resolve));
  while (Atomics.load(inside, 0) === 0) await new Promise(setImmediate);
  lock.run(() => assert.equal(Atomics.load(inside, 0), 0, 'the other one is still inside'));
  await ended;
  assert.equal(lock.word[0], 0);
});
