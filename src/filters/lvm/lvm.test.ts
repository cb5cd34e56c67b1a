import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openOver } from '../../../test/contract/open.ts';
import { describe, EXTENT, EXTENTS, physicalVolume } from '../../../test/peer/lvm.ts';
import { StrictDevice } from '../../../test/peer/strict-device.ts';
import { readBytes } from '../../testing/model.ts';

const ID = 'a'.repeat(32);
const SIZE = EXTENTS + 10 * EXTENT;

function disk(): StrictDevice {
  const text = describe({ pv0: ID }, { root: [{ extents: 2, stripes: [['pv0', 1]] }] });
  const bytes = Buffer.alloc(SIZE);
  physicalVolume(ID, text, SIZE).copy(bytes);
  bytes.write('here', EXTENTS + EXTENT);
  return new StrictDevice(bytes);
}

test('a logical volume, by any of its names', async () => {
  for (const name of ['vg/root', 'root', '/dev/vg/root']) {
    const below = disk();
    const device = await openOver(below, `lvm lv=${name}`);
    assert.equal(device.size, BigInt(2 * EXTENT));
    assert.equal((await readBytes(device, 0n, 4)).toString(), 'here');
    await device.write!(4n, Buffer.from('!'));
    assert.equal(below.bytes.toString('latin1', EXTENTS + EXTENT, EXTENTS + EXTENT + 5), 'here!');
  }
});

test('a volume or a disk that there is not', async () => {
  await assert.rejects(openOver(disk(), 'lvm lv=vg/swap'), /there is vg\/root/);
  await assert.rejects(openOver(disk(), 'lvm lv=other/root'), /no logical volume root/);
  const empty = new StrictDevice(Buffer.alloc(SIZE));
  await assert.rejects(openOver(empty, 'lvm lv=vg/root'), /no LVM physical volume/);
  await assert.rejects(openOver(disk(), 'lvm lv=a/b/c'), /expected GROUP\/VOLUME/);
});
