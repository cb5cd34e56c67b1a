import { decodedWhole } from '../../codecs/decoded.ts';
import { expandedSource } from '../../codecs/expanded.ts';
import { defineFilter } from '../../declare/declare.ts';

export default defineFilter({
  name: 'gzip',
  description: 'what a gzip file holds',
  parameters: {},
  create: (_parameters, below, { debug }) =>
    expandedSource(
      below,
      (file, { signal }) => decodedWhole(file, { kind: 'gzip' }, { format: 'gzip', debug, signal }),
      { keep: true },
    ),
});
