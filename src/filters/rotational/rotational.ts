import { PASS, wrapDevice } from '../../block/wrap.ts';
import { defineFilter } from '../../declare/declare.ts';

export default defineFilter({
  name: 'rotational',
  description: 'says whether the disk behaves like a spinning one',
  parameters: {
    rotational: { type: 'boolean', default: 'true', help: 'What is said' },
  },
  wrap: (below, { rotational }) => wrapDevice(below, { ...PASS, rotational }),
});
