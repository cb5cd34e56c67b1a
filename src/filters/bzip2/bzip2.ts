import { decodedWhole } from '../../codecs/decoded.ts';
import { expandedSource } from '../../codecs/expanded.ts';
import { defineFilter } from '../../declare/declare.ts';

export default defineFilter({
  name: 'bzip2',
  description: 'what a bzip2 file holds',
  parameters: {},
  create: (_parameters, below, { debug }) =>
    expandedSource(
      below,
      (file, { signal }) =>
        decodedWhole(file, { kind: 'bzip2' }, { format: 'bzip2', debug, signal }),
      { keep: true },
    ),
});
