import { existsSync } from 'node:fs';
import { before, CHANGES } from '../../block/around.ts';
import type { BlockDevice } from '../../block/device.ts';
import { BlockError } from '../../block/errors.ts';
import { readOnlyDevice } from '../../block/read-only.ts';
import { PASS, wrapDevice } from '../../block/wrap.ts';
import { defineFilter } from '../../declare/declare.ts';

export default defineFilter({
  name: 'readonly',
  description: 'forbids writing, always or as long as a file exists',
  parameters: {
    'readonly-file': { type: 'path', help: 'Forbid writing while this file exists' },
  },
  wrap: (device, { 'readonly-file': file }) =>
    file === undefined ? readOnlyDevice(device) : unless(file, device),
});

/** Looks for the file at every write; flushes are always allowed. */
function unless(file: string, below: BlockDevice): BlockDevice {
  const check = ({ offset }: { readonly offset: bigint }) => {
    if (existsSync(file)) {
      throw new BlockError('EPERM', 'writing is forbidden for now by readonly-file', { offset });
    }
  };
  return wrapDevice(before(below, check, CHANGES), { ...PASS, resize: undefined });
}
