import { expandedSource } from '../../codecs/expanded.ts';
import { defineFilter } from '../../declare/declare.ts';
import { openIndexedGzip } from '../../formats/gzip/indexed.ts';
import { indexOf } from './index-file.ts';

export default defineFilter({
  name: 'indexed-gzip',
  description: 'what a gzip file holds, read anywhere by an index',
  parameters: {
    'gzip-index-path': { type: 'path', help: 'Keep the index in this file, or use what is there' },
    'gzip-index-span': {
      type: 'size',
      default: '1M',
      minimum: 64 << 10,
      maximum: 1 << 30,
      help: 'Bytes from one place of the index to the next',
    },
  },
  create: ({ 'gzip-index-path': path, 'gzip-index-span': span }, below, { debug }) =>
    expandedSource(
      below,
      async (file, { signal }) => {
        const index = await indexOf(file, { path, span: Number(span), debug, signal });
        try {
          return await openIndexedGzip(file, index, { debug, signal });
        } catch (error) {
          await index.close?.();
          throw error;
        }
      },
      { keep: true },
    ),
});
