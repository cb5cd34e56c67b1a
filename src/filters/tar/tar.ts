import { RangeLock } from '../../block/range-lock.ts';
import { defineFilter } from '../../declare/declare.ts';
import { archiveSource } from '../../formats/archive/exports.ts';
import { tarEntries } from '../../formats/archive/tar.ts';

export default defineFilter({
  name: 'tar',
  description: 'a file in a tar archive, or all of them',
  parameters: {
    'tar-entry': { type: 'string', help: 'Its name; without it each file is an export' },
    'tar-limit': { type: 'size', help: 'Bytes of the archive in which it is looked for' },
    tar: { type: 'string', help: 'Ignored: the program tar is not needed' },
  },
  create: ({ 'tar-entry': entry, 'tar-limit': limit }, below, { debug }) =>
    archiveSource(below, {
      entry,
      parameter: 'tar-entry',
      debug,
      // For all connections, whose writes may share a block of the archive.
      locks: new RangeLock(),
      entries: (archive, options) =>
        tarEntries(archive, { ...options, limit: limit === undefined ? undefined : Number(limit) }),
    }),
});
