import { alignedDevice } from '../../block/aligned.ts';
import type { BlockDevice } from '../../block/device.ts';
import { RangeLock } from '../../block/range-lock.ts';
import { extentsInBlocks } from '../../block/runs-in-blocks.ts';
import { sliceDevice } from '../../block/slice.ts';
import { PASS, wrapDevice } from '../../block/wrap.ts';
import { defineFilter, wrapSource } from '../../declare/declare.ts';
import { type Given, type Limits, limitsOver, MOST, readGiven, withMost } from './limits.ts';

export default defineFilter({
  name: 'blocksize',
  description: 'makes requests of any offset and length into those that the disk likes',
  parameters: {
    minblock: { type: 'size', minimum: 1, maximum: MOST, help: 'Whole blocks of so many bytes' },
    maxdata: { type: 'size', minimum: 1, maximum: MOST, help: 'Most bytes of a read or write' },
    maxlen: { type: 'size', minimum: 1, maximum: MOST, help: 'Most bytes of other requests' },
  },
  wrap: (disk, parameters) => shaped(disk, limitsOver(disk, readGiven(parameters))),
  create(parameters, below, { debug, again }) {
    const given: Given = readGiven(parameters);
    // For all connections, whose writes may share a block of the disk below.
    const locks = new RangeLock();
    debug(`configured values ${wordsOf(given)}`);
    return wrapSource(below, disk => {
      const limits = limitsOver(disk, given);
      debug(`handle values ${wordsOf(limits)}`);
      const device = shaped(disk, limits, locks);
      return limits.minblock === 1 ? again(device, disk) : device;
    });
  },
});

function wordsOf({ minblock, maxdata, maxlen }: Limits): string {
  return `minblock=${minblock} maxdata=${maxdata} maxlen=${maxlen}`;
}

/** The whole blocks of a disk, which takes any offset and length. */
function shaped(disk: BlockDevice, limits: Limits, locks?: RangeLock): BlockDevice {
  const { minblock: minimum, maxdata: maximum } = limits;
  const preferred = Math.max(disk.blockSize?.preferred ?? 0, 4096, minimum);
  const blockSize = { minimum, preferred, maximum };
  const most = withMost(disk, limits);
  const extents = extentsInBlocks(most, minimum);
  const picky = wrapDevice(most, { ...PASS, blockSize, extents });
  const size = disk.size - (disk.size % BigInt(minimum));
  return alignedDevice(sliceDevice(picky, 0n, size), locks && { locks });
}
