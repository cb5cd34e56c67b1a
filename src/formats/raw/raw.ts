import { readOnlyDevice } from '../../block/read-only.ts';
import { defineFormat } from '../../images/image.ts';
import { createRaw, OPTIONS } from './create.ts';

/** A disk as it is, without a format. */
export const raw = defineFormat({
  name: 'raw',
  open: async (file, { readOnly }) => {
    const device = readOnly ? readOnlyDevice(file) : file;
    return { format: 'raw', device, facts: {} };
  },
  options: OPTIONS,
  create: createRaw,
  measure: async ({ size }) => ({ required: size, full: size }),
});
