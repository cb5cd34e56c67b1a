import { expandedSource } from '../../codecs/expanded.ts';
import { defineFilter } from '../../declare/declare.ts';
import { openLzip } from '../../formats/lzip/lzip.ts';

export default defineFilter({
  name: 'lzip',
  description: 'what an lzip file holds',
  parameters: {
    'lzip-max-block': {
      type: 'size',
      default: '512M',
      minimum: 1,
      help: 'Bytes of the largest member, and of the largest dictionary',
    },
    'lzip-max-depth': {
      type: 'integer',
      default: '8',
      minimum: 1,
      help: 'Most members that are kept in memory',
    },
  },
  create: ({ 'lzip-max-block': maxBlock, 'lzip-max-depth': depth }, below, { debug }) =>
    expandedSource(below, (file, { signal }) =>
      openLzip(file, { maxBlock: Number(maxBlock), depth, debug, signal }),
    ),
});
