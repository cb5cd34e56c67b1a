import { transformDevice } from '../../block/transform.ts';
import { defineFilter } from '../../declare/declare.ts';
import { applyMask, maskOf } from './mask.ts';

export default defineFilter({
  name: 'xor',
  description: 'combines the bytes of the disk with a value or random bytes by exclusive or',
  parameters: {
    xor: { type: 'string', required: true, help: 'A number, rand or rand:SEED' },
    xorlen: { type: 'integer', minimum: 1, maximum: 8, help: 'Bytes of the number' },
  },
  check: ({ xor, xorlen }) => void maskOf(xor, xorlen),
  wrap(below, { xor, xorlen }) {
    const mask = maskOf(xor, xorlen);
    const apply = (offset: bigint, bytes: Uint8Array) => applyMask(mask, offset, bytes);
    return transformDevice(below, { read: apply, write: apply, changesZeroes: true });
  },
});
