import { BlockError } from '../../block/errors.ts';
import { extentsInBlocks } from '../../block/runs-in-blocks.ts';
import { sliceDevice } from '../../block/slice.ts';
import { transformDevice } from '../../block/transform.ts';
import { PASS, wrapDevice } from '../../block/wrap.ts';
import { defineFilter } from '../../declare/declare.ts';

const SWAPS = { '8': undefined, '16': 'swap16', '32': 'swap32', '64': 'swap64' } as const;

export default defineFilter({
  name: 'swab',
  description: 'turns the order of the bytes in each word around',
  parameters: {
    'swab-bits': {
      type: 'string',
      choices: ['8', '16', '32', '64'],
      default: '16',
      help: 'Bits of a word',
    },
  },
  wrap(below, { 'swab-bits': bits }) {
    const swap = SWAPS[bits];
    if (!swap) return below;
    const word = Number(bits) / 8;
    const own = below.blockSize ?? { minimum: 1, preferred: 512, maximum: 2 ** 32 - word };
    const blockSize = { ...own, minimum: Math.max(own.minimum, word), advisory: false };
    if (own.maximum < word) throw new BlockError('EIO', `the disk takes no words of ${bits} bits`);
    const turn = (_offset: bigint, bytes: Uint8Array) =>
      void Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)[swap]();
    const whole = sliceDevice(below, 0n, below.size - (below.size % BigInt(word)));
    const extents = extentsInBlocks(whole, blockSize.minimum);
    const turned = transformDevice(whole, { read: turn, write: turn });
    return wrapDevice(turned, { ...PASS, blockSize, extents });
  },
});
