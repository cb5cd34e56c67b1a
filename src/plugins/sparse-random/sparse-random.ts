import { isZero, viewsOf, zeroes } from '../../block/data.ts';
import type { BlockDevice, Data } from '../../block/device.ts';
import { BlockError } from '../../block/errors.ts';
import { verifyWrite } from '../../block/verify.ts';
import { keystream, seedKey } from '../../content/keystream.ts';
import { definePlugin, sourceOf } from '../../declare/declare.ts';
import { repeatedBytes } from './content.ts';
import { meansOf, Shape } from './shape.ts';

export default definePlugin({
  name: 'sparse-random',
  description: 'a disk of random data and holes, shaped as real ones are; checks what is written',
  parameters: {
    size: { type: 'size', required: true, bare: true, help: 'Size of the disk' },
    seed: { type: 'string', help: 'Number that the disk follows from (default: a new one)' },
    percent: {
      type: 'integer',
      minimum: 0,
      maximum: 100,
      default: '10',
      help: 'Percentage of the disk that is data',
    },
    runlength: {
      type: 'size',
      minimum: 1,
      default: '16M',
      help: 'Average length of a run of data',
    },
    'random-content': {
      type: 'boolean',
      default: 'false',
      help: 'Every byte is random, not only every block of 4096',
    },
  },
  create({ size, seed, percent, runlength, 'random-content': randomContent }) {
    const shape = new Shape(seedKey('sparse-random shape', seed), meansOf(percent, runlength));
    const contentKey = seedKey('sparse-random content', seed);
    const content: Content = randomContent
      ? (offset, length) => keystream(contentKey, offset, length)
      : repeatedBytes(contentKey);
    return sourceOf(() => sparseRandomDevice(size, shape, content));
  },
});

/** The data at an offset, if there is data. */
type Content = (offset: bigint, length: number) => Data;

function sparseRandomDevice(size: bigint, shape: Shape, content: Content): BlockDevice {
  const refuseData = (offset: bigint, length: number) => {
    shape.walk(offset, length, (at, _run, data) => {
      if (!data) return;
      const start = offset + BigInt(at);
      throw new BlockError('EIO', `attempt to trim or zero data at offset ${start}`, {
        offset: start,
      });
    });
  };
  return {
    size,
    multiConn: true,
    opaque: true,
    fua: 'native',
    fastZero: 'native',
    read: (offset, length) => {
      const views: Uint8Array[] = [];
      shape.walk(offset, length, (at, run, data) => {
        const part = data ? content(offset + BigInt(at), run) : zeroes(run);
        for (const view of viewsOf(part)) views.push(view);
      });
      return views;
    },
    write: (offset, bytes) => {
      shape.walk(offset, bytes.length, (at, run, data) => {
        const part = bytes.subarray(at, at + run);
        const start = offset + BigInt(at);
        if (data || !isZero(part))
          verifyWrite(start, part, data ? content(start, run) : zeroes(run));
      });
    },
    flush: () => {},
    trim: refuseData,
    zero: refuseData,
    cache: () => {},
    extents: (offset, length) => shape.extents(offset, length),
  };
}
