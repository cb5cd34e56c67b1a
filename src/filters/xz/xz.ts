import { expandedSource } from '../../codecs/expanded.ts';
import { defineFilter } from '../../declare/declare.ts';
import { openXz } from '../../formats/xz/xz.ts';

export default defineFilter({
  name: 'xz',
  description: 'what an xz file holds',
  parameters: {
    'xz-max-block': {
      type: 'size',
      default: '512M',
      minimum: 1,
      help: 'Bytes of the largest block, and of the largest dictionary',
    },
    'xz-max-depth': {
      type: 'integer',
      default: '8',
      minimum: 1,
      help: 'Most blocks that are kept in memory',
    },
  },
  create: ({ 'xz-max-block': maxBlock, 'xz-max-depth': depth }, below, { debug }) =>
    expandedSource(below, (file, { signal }) =>
      openXz(file, { maxBlock: Number(maxBlock), depth, debug, signal }),
    ),
});
