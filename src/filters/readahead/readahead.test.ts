import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deviceContract } from '../../../test/contract/contract.ts';
import { filterSource, openOver, openPlugin, REQUEST } from '../../../test/contract/open.ts';
import { recorded } from '../../../test/peer/recorder.ts';
import { StrictDevice } from '../../../test/peer/strict-device.ts';
import type { BlockDevice } from '../../block/device.ts';
import { PASS, wrapDevice } from '../../block/wrap.ts';
import { readBytes } from '../../testing/model.ts';
import { Window } from './window.ts';

const BLOCK = 256 << 10;

/** A disk that keeps nothing by itself and answers late, and what it is asked for. */
function disk(size = 8 << 20) {
  const bytes = Buffer.alloc(size);
  for (let at = 0; at < size; at += 512) bytes.writeUInt32BE(at, at);
  const { device, calls } = recorded(new StrictDevice(bytes));
  const asked = () => calls.splice(0).map(({ kind, offset }) => `${kind} ${offset}`);
  return { device, asked };
}

deviceContract(
  'readahead over a disk that keeps nothing',
  () => openOver(disk().device, 'readahead'),
  {
    writes: 'kept',
    steps: 40,
  },
);

test('a disk that can keep what it is told is told', () => {
  const window = new Window(1n << 20n);
  assert.deepEqual(window.after(0n, 512), { offset: 512n, length: 32768 });
  assert.deepEqual(window.after(512n, 512), { offset: 1024n, length: 32768 });
  window.after(100_000n, 512);
  assert.deepEqual(window.after(200_000n, 512), { offset: 200_512n, length: 65536 });
  window.after(0n, 512);
  assert.deepEqual(window.after(512n, 512), { offset: 1024n, length: 32768 });
  assert.equal(window.after((1n << 20n) - 512n, 512), undefined);
});

test('announcements go to the disk', async () => {
  const { device: below, calls } = recorded(await openPlugin('memory', '1M'));
  const device = await openOver(below, 'readahead');
  await device.read(0n, 4096);
  await device.close!();
  assert.deepEqual(
    calls.map(({ kind, offset, length }) => [kind, Number(offset), length]),
    [
      ['cache', 4096, 32768],
      ['read', 0, 4096],
    ],
  );
});

test('what comes next is there when it is asked for', async () => {
  const { device: below, asked } = disk();
  const device = await openOver(below, 'readahead');
  const whole = await readBytes(below, 0n, 8 << 20);
  asked();
  for (let at = 0; at < 8 << 20; at += 65536) {
    const bytes = await readBytes(device, BigInt(at), 65536);
    assert.ok(bytes.equals(whole.subarray(at, at + 65536)), `at ${at}`);
  }
  const calls = asked();
  assert.ok(calls.length <= 33, `${calls.length} reads: one for each block, and the first`);
  await device.close!();
});

test('who jumps about has nothing read ahead', async () => {
  const { device: below, asked } = disk();
  const device = await openOver(below, 'readahead');
  await device.read(4n << 20n, 512);
  await device.read(1n << 20n, 512);
  await device.read(7n << 20n, 512);
  assert.deepEqual(asked(), ['read 4194304', 'read 1048576', 'read 7340032']);
});

test('what any client writes counts', async () => {
  const { device: below } = disk();
  const open = () => wrapDevice(below, PASS);
  const source = await filterSource({ open }, 'readahead');
  const [reader, writer] = (await Promise.all([source.open(REQUEST), source.open(REQUEST)])) as [
    BlockDevice,
    BlockDevice,
  ];
  await reader.read(0n, 512);
  await reader.read(512n, BLOCK);
  await new Promise(resolve => setTimeout(resolve, 10));
  await writer.write!(BigInt(BLOCK + 512), Buffer.alloc(512, 7));
  assert.equal((await readBytes(reader, BigInt(BLOCK + 512), 1))[0], 7);
  await writer.zero!(0n, 8 << 20);
  assert.equal((await readBytes(reader, BigInt(BLOCK + 1024), 4)).readUInt32BE(), 0);
});
