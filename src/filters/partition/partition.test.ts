import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openOver } from '../../../test/contract/open.ts';
import { StrictDevice } from '../../../test/peer/strict-device.ts';
import { PASS, wrapDevice } from '../../block/wrap.ts';
import { mbrSector } from '../../formats/partition-table/mbr.ts';
import { readBytes } from '../../testing/model.ts';

function partitioned(): Buffer {
  const bytes = Buffer.alloc(64 * 512, 7);
  mbrSector([{ start: 3n, sectors: 2n, type: 0x83 }]).copy(bytes);
  bytes.write('here', 3 * 512);
  return bytes;
}

test('the bytes of the partition', async () => {
  const disk = new StrictDevice(partitioned());
  const device = await openOver(disk, 'partition partition=1');
  assert.equal(device.size, 1024n);
  assert.equal((await readBytes(device, 0n, 4)).toString(), 'here');
  await device.write!(4n, Buffer.from('!'));
  assert.equal(disk.bytes.toString('latin1', 3 * 512, 3 * 512 + 5), 'here!');
});

test('the description says which one it is', async () => {
  const disk = wrapDevice(new StrictDevice(partitioned()), { ...PASS, description: 'a disk' });
  const device = await openOver(disk, 'partition partition=1');
  assert.equal(device.description, 'partition 1 of MBR disk: a disk');
});

test('a partition that there is not closes the disk', async () => {
  let closed = 0;
  const close = () => {
    closed += 1;
  };
  const disk = wrapDevice(new StrictDevice(partitioned()), { ...PASS, close });
  await assert.rejects(openOver(disk, 'partition partition=2'), { errno: 'EIO' });
  assert.equal(closed, 1);
});
