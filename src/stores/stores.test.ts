import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isKnownZero, viewsOf } from '../block/data.ts';
import type { Extent } from '../block/device.ts';
import { UsageError } from '../block/errors.ts';
import { memoryStore } from './allocator.ts';
import { PageTable } from './page-table.ts';
import { sparseStore } from './sparse.ts';

const PAGE = 32768;

test('a page table finds neighbours far apart and forgets ranges', () => {
  const table = new PageTable<number>();
  const far = 2 ** 48 - 5;
  for (const page of [3, 4, 1023, 1024, far]) table.set(page, page);
  assert.deepEqual([table.get(4), table.get(5), table.get(far)], [4, undefined, far]);
  assert.equal(table.nextPresent(5, far), 1023);
  assert.equal(table.nextAbsent(1023, far), 1025);
  assert.equal(table.nextPresent(1025, far), far);
  assert.equal(table.nextPresent(1025, 2 ** 50), far);
  table.delete(4, far);
  assert.deepEqual([table.get(3), table.get(1023), table.get(far)], [3, undefined, far]);
  table.delete(0, 2 ** 50);
  assert.equal(table.nextPresent(0, 2 ** 50), 2 ** 50);
});

test('a full leaf is one run, whichever way it was filled', () => {
  const table = new PageTable<boolean>();
  for (let page = 3000; page >= 1000; page--) table.set(page, true);
  assert.equal(table.nextAbsent(1000, 2 ** 40), 3001);
  assert.equal(table.nextAbsent(1000, 2000), 2000);
  assert.equal(table.nextPresent(0, 999), 999);
});

test('what is written in one go is read as one view, without a copy', () => {
  const store = sparseStore(1n << 40n);
  store.write!(5n * BigInt(PAGE), Buffer.alloc(PAGE * 8, 1));
  const whole = store.read(5n * BigInt(PAGE), PAGE * 8) as Uint8Array;
  assert.ok(whole instanceof Uint8Array);
  const again = store.read(6n * BigInt(PAGE), PAGE) as Uint8Array;
  assert.equal(again.buffer, whole.buffer);
});

test('a write buffer is the memory that is read afterwards, and zeroes until it is filled', () => {
  const store = sparseStore(1n << 30n);
  const [lent, ...more] = viewsOf(store.writeBuffer!(100n, 200_000)!.memory);
  assert.equal(more.length, 0);
  assert.ok(Buffer.alloc(200_000).equals(lent!));
  lent!.fill(9);
  const read = store.read(100n, 200_000) as Uint8Array;
  assert.equal(read.buffer, lent!.buffer);
  assert.equal((store.read(99n, 1) as Uint8Array)[0], 0);
});

test('holes are known zeroes, and trimmed pages become holes', () => {
  const store = sparseStore(1n << 62n);
  const far = 1n << 61n;
  assert.ok(isKnownZero(store.read(far, 4096) as Uint8Array));
  store.write!(far, Buffer.alloc(3 * PAGE, 1));
  store.trim!(far + 100n, 3 * PAGE - 200);
  assert.deepEqual(store.extents!(far, 3 * PAGE), [
    { length: PAGE, hole: false, zero: false },
    { length: PAGE, hole: true, zero: true },
    { length: PAGE, hole: false, zero: false },
  ]);
  assert.ok(isKnownZero(store.read(far + BigInt(PAGE), PAGE) as Uint8Array));
});

test('zeroing keeps the space unless it may be trimmed', () => {
  const store = sparseStore(1n << 30n);
  store.write!(0n, Buffer.alloc(2 * PAGE, 1));
  store.zero!(0n, 2 * PAGE);
  assert.deepEqual(store.extents!(0n, PAGE), [{ length: PAGE, hole: false, zero: false }]);
  store.zero!(0n, 2 * PAGE, { mayTrim: true });
  assert.deepEqual(store.extents!(0n, PAGE), [{ length: PAGE, hole: true, zero: true }]);
});

test('extents of a huge disk take as long as it has pages', () => {
  const store = sparseStore(7n << 60n);
  for (let index = 0n; index < 7n; index++) store.write!(index << 60n, Buffer.alloc(1, 1));
  let runs = 0;
  for (let offset = 0n; offset < store.size; offset += 1n << 52n) {
    runs += (store.extents!(offset, 2 ** 52) as unknown[]).length;
  }
  assert.equal(runs, 7 * 256 + 7);
});

test('allocators are checked', () => {
  const wrong: readonly (readonly [string, RegExp])[] = [
    ['foo', /allocator: unknown 'foo': expected sparse, malloc or zstd/],
    ['malloc,mlock=x', /allocator: mlock: cannot parse 'x'/],
    ['malloc,lock=1', /allocator: unknown option 'lock=1': expected mlock=true/],
    ['sparse,mlock=true', /sparse has no options/],
  ];
  for (const [allocator, message] of wrong) {
    assert.throws(() => memoryStore(1n, allocator), { name: 'UsageError', message });
  }
  assert.throws(
    () => memoryStore(7n << 60n, 'malloc'),
    error => error instanceof UsageError && /7E does not fit in memory/.test(error.message),
  );
  memoryStore(4096n, 'malloc,mlock=false');
});

test('much memory comes in large pages, none of it twice, and is given back when trimmed', () => {
  const size = 96 << 20;
  const store = sparseStore(BigInt(size));
  const resident = () => process.memoryUsage.rss();
  for (let at = 0; at < size; at += 1 << 20) store.write!(BigInt(at), Buffer.alloc(1 << 20, 7));
  const before = store.read(BigInt(size - PAGE), PAGE) as Uint8Array;
  const full = resident();
  store.zero!(0n, size, { mayTrim: true });
  assert.ok(full - resident() > size / 2, `${full - resident()} bytes given back`);
  store.write!(0n, Buffer.alloc(1 << 20, 9));
  assert.ok(
    before.every(byte => byte === 0 || byte === 7),
    'a view of what was there before',
  );
  const [first] = store.extents!(0n, size) as Extent[];
  assert.deepEqual(first, { length: 1 << 20, hole: false, zero: false });
});
