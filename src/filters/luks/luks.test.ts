import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { filterSource, openOver, openPlugin, REQUEST } from '../../../test/contract/open.ts';
import { StrictDevice } from '../../../test/peer/strict-device.ts';
import { temporaryFolder } from '../../../test/peer/wire.ts';
import { bytesBeforeData, createLuks } from '../../formats/luks/create.ts';
import { readBytes } from '../../testing/model.ts';

const OPTIONS = { passphrase: Buffer.from('secret'), iterTime: 1, memory: 1 << 16 };

async function newVolume(options: object = {}): Promise<StrictDevice> {
  const all = { ...OPTIONS, ...options };
  const disk = new StrictDevice(Buffer.alloc(bytesBeforeData(all) + 65_536));
  await createLuks(disk, all);
  return disk;
}

test('the volume is opened once, for all connections, and after a failure again', async () => {
  const disk = await newVolume();
  const header = Buffer.from(disk.bytes.subarray(0, 592));
  disk.bytes.fill(0, 0, 592);
  const source = await filterSource({ open: () => disk }, 'luks', 'passphrase=secret');
  await assert.rejects(Promise.resolve(source.open(REQUEST)), { message: /holds no volume/ });
  header.copy(disk.bytes);
  const first = await source.open(REQUEST);
  await first.write!(0n, Buffer.from('hello'));
  const { read } = disk.counts;
  const second = await source.open(REQUEST);
  assert.equal(disk.counts.read, read);
  assert.equal((await readBytes(second, 0n, 5)).toString(), 'hello');
  await source.close!();
  // Nobody finds the key in memory.
  const later = await source.open(REQUEST);
  assert.notEqual((await readBytes(later, 0n, 5)).toString(), 'hello');
});

test('holes are told of, and are no zeroes; zeroes are written', async () => {
  const device = await openOver(await newVolume(), 'luks passphrase=secret');
  assert.equal(device.trim, undefined);
  assert.equal(device.zero, undefined);
  const file = await openPlugin('memory', '4M');
  await createLuks(file, OPTIONS);
  const sparse = await openOver(file, 'luks passphrase=secret');
  const runs = await sparse.extents!(0n, 65_536);
  assert.deepEqual(runs, [{ length: 65_536, hole: true, zero: false }]);
});

test('the header may be in a file', async t => {
  const header = await newVolume({ version: 2, detached: true });
  const path = join(temporaryFolder(t), 'header');
  writeFileSync(path, header.bytes);
  const disk = new StrictDevice(Buffer.alloc(65_536));
  const device = await openOver(disk, `luks passphrase=secret luks-header=${path}`);
  assert.equal(device.size, 65_536n);
  await assert.rejects(openOver(disk, 'luks passphrase=secret luks-header=/none'), {
    message: /'\/none'/,
  });
});

test('memory is limited', async () => {
  const disk = await newVolume({ version: 2 });
  await openOver(disk, 'luks passphrase=secret luks-memory=1M');
  await assert.rejects(openOver(disk, 'luks passphrase=secret luks-memory=16k'), {
    errno: 'ENOMEM',
    message: /more than the limit of 16384/,
  });
  await assert.rejects(openOver(disk, 'luks passphrase=secret luks-memory=5G'), /too large/);
});
