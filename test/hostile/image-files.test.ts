/** Images in files that fail: whoever asked hears it, and nothing is lost that was flushed. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BlockError } from '../../src/block/errors.ts';
import { openImage } from '../../src/formats/open-image.ts';
import { readBytes } from '../../src/testing/model.ts';
import { GrowingMemory, makeImage } from '../peer/images.ts';

const SIZE = 8 << 20;
const IMAGES: readonly (readonly [format: string, options: string])[] = [
  ['qcow2', ''],
  ['vdi', ''],
  ['vpc', ''],
  ['vhdx', 'block_size=1M'],
  ['vmdk', ''],
];

/** A file in memory of which no request succeeds while it fails. */
class FailingMemory extends GrowingMemory {
  failing: 'read' | 'write' | undefined;

  override read(offset: bigint, length: number): Buffer {
    if (this.failing === 'read') return Promise.reject(failure('EIO')) as never;
    return super.read(offset, length);
  }

  override write(offset: bigint, data: Uint8Array): void | Promise<void> {
    if (this.failing === 'write') return Promise.reject(failure('ENOSPC'));
    return super.write(offset, data);
  }
}

const failure = (errno: 'EIO' | 'ENOSPC') => new BlockError(errno, 'the disk below fails');

for (const [format, options] of IMAGES) {
  test(`${format}: a file that cannot be read, and one that is full`, async () => {
    const file = new FailingMemory(Buffer.alloc(0));
    await makeImage(file, format, BigInt(SIZE), options);
    const { device } = await openImage({ device: file }, { format, readOnly: false });
    file.failing = 'read';
    await assert.rejects(async () => device.write!(0n, Buffer.alloc(4096, 1)), { errno: 'EIO' });
    file.failing = undefined;
    await device.write!(0n, Buffer.alloc(4096, 2));
    await device.flush!();
    file.failing = 'write';
    const late = BigInt(SIZE - 4096);
    await assert.rejects(async () => device.write!(late, Buffer.alloc(4096, 3)), {
      errno: 'ENOSPC',
    });
    file.failing = undefined;
    await device.write!(late, Buffer.alloc(4096, 4));
    await device.close!();
    const again = await openImage({ device: file }, { format, readOnly: true, checking: true });
    const content = await readBytes(again.device, 0n, SIZE);
    assert.deepEqual([content[0], content[4095], content[4096]], [2, 2, 0]);
    assert.deepEqual([content[SIZE - 4097], content[SIZE - 4096]], [0, 4]);
    assert.equal((await again.check?.())?.corruptions ?? 0, 0);
  });
}
