/** Images in what cannot grow and holds other bytes, as block devices and disks of servers do. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isZero, viewsOf } from '../../src/block/data.ts';
import type { BlockDevice } from '../../src/block/device.ts';
import { errnoOf } from '../../src/block/errors.ts';
import { openImage } from '../../src/formats/open-image.ts';
import { GrowingMemory, makeImage } from '../peer/images.ts';

const SIZE = 1 << 20;
const FOOTER = 512;

const IMAGES: readonly (readonly [format: string, room: number, options: string])[] = [
  ['qcow2', 4 << 20, ''],
  ['qcow2', 4 << 20, 'preallocation=metadata'],
  ['vdi', 4 << 20, 'static=on'],
  ['vpc', SIZE + FOOTER, 'subformat=fixed,force_size=on'],
  ['vhdx', 16 << 20, 'subformat=fixed'],
  ['vmdk', 4 << 20, ''],
];

/** Full of what was there before. */
function used(room: number): BlockDevice {
  const memory = new GrowingMemory(Buffer.alloc(room, 0xa5));
  return {
    size: memory.size,
    read: (offset, length) => memory.read(offset, length),
    write: (offset, data) => memory.write(offset, data),
  };
}

for (const [format, room, options] of IMAGES) {
  test(`new and all zero: ${format} ${options}`, async () => {
    const device = used(room);
    await makeImage(device, format, BigInt(SIZE), options);
    const image = await openImage({ device }, { format, readOnly: false });
    const bytes = Buffer.concat(viewsOf(await image.device.read(0n, SIZE)));
    assert.ok(isZero(bytes), format);
  });
}

test('what is too small, or too large for a footer at its end, is refused', async () => {
  const refused = async (format: string, room: number, options = '') => {
    const error = await makeImage(used(room), format, BigInt(SIZE), options).catch(
      reason => reason,
    );
    return errnoOf(error);
  };
  assert.equal(await refused('raw', SIZE - 512), 'ENOSPC');
  assert.equal(await refused('qcow2', 65536), 'ENOSPC');
  assert.equal(await refused('vpc', 4 << 20, 'subformat=fixed,force_size=on'), 'ENOSPC');
});
