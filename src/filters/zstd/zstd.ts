import { expandedSource } from '../../codecs/expanded.ts';
import { defineFilter } from '../../declare/declare.ts';
import { openZstd } from '../../formats/zstd/zstd.ts';

export default defineFilter({
  name: 'zstd',
  description: 'what a Zstandard file holds',
  parameters: {
    'zstd-max-depth': {
      type: 'integer',
      default: '8',
      minimum: 1,
      help: 'Most frames that are kept in memory',
    },
  },
  create: ({ 'zstd-max-depth': depth }, below, { debug }) =>
    expandedSource(below, (file, { signal }) => openZstd(file, { depth, debug, signal }), {
      keep: true,
    }),
});
