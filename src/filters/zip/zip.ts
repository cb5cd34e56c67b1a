import { sharedForReading } from '../../codecs/expanded.ts';
import { defineFilter } from '../../declare/declare.ts';
import { archiveSource } from '../../formats/archive/exports.ts';
import { zipEntries } from '../../formats/archive/zip.ts';

export default defineFilter({
  name: 'zip',
  description: 'a file in a zip archive, or all of them',
  parameters: {
    'zip-entry': { type: 'string', help: 'Its name; without it each file is an export' },
  },
  create: ({ 'zip-entry': entry }, below, { debug }) =>
    sharedForReading(
      archiveSource(below, { entry, parameter: 'zip-entry', debug, entries: zipEntries }),
    ),
});
