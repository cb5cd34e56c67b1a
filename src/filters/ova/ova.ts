import { sharedForReading } from '../../codecs/expanded.ts';
import { defineFilter } from '../../declare/declare.ts';
import { archiveSource } from '../../formats/archive/exports.ts';
import { ovaDisks } from '../../formats/archive/ovf.ts';

export default defineFilter({
  name: 'ova',
  description: 'the disks of an appliance in an OVA file, each as an export',
  parameters: {},
  create: (_parameters, below, { debug }) =>
    sharedForReading(
      archiveSource(below, { debug, entries: ovaDisks, fallback: ([first]) => first! }),
    ),
});
