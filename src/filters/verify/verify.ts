import type { BlockDevice, OpenRequest } from '../../block/device.ts';
import { BlockError, UsageError } from '../../block/errors.ts';
import { readOnlyDevice } from '../../block/read-only.ts';
import { needPowerOfTwo } from '../../block/size.ts';
import { passSource } from '../../block/source.ts';
import { PASS, wrapDevice } from '../../block/wrap.ts';
import { defineFilter, wrapSource } from '../../declare/declare.ts';
import { harmless } from '../../protocol/text.ts';
import type { Comparison } from './comparison.ts';
import { digestsIn } from './digests.ts';
import { fileTwin, uriTwin } from './twin.ts';

export default defineFilter({
  name: 'verify',
  description: 'compares all that is read with another disk, or with a list of digests',
  parameters: {
    'verify-file': { type: 'path', help: 'File or block device to compare with' },
    'verify-uri': { type: 'string', help: 'NBD export to compare with' },
    'verify-digests': { type: 'path', help: 'File with the SHA-256 of each block, one a line' },
    'verify-block-size': {
      type: 'size',
      default: '64K',
      minimum: 512,
      maximum: 1 << 20,
      help: 'Length of the blocks of verify-digests (default: 64K)',
    },
  },
  create(parameters, below) {
    const { 'verify-file': file, 'verify-uri': uri, 'verify-digests': list } = parameters;
    const block = parameters['verify-block-size'];
    needPowerOfTwo('verify-block-size', block);
    const [compare, ...more] = [
      ...(file === undefined ? [] : [fileTwin(file)]),
      ...(uri === undefined ? [] : [uriTwin(uri)]),
      ...(list === undefined ? [] : [digestsIn(list, Number(block))]),
    ];
    if (!compare || more.length > 0) {
      throw new UsageError('expected one of verify-file, verify-uri and verify-digests');
    }
    const open = (request: OpenRequest) => below.open({ ...request, readOnly: true });
    return wrapSource(passSource(below, { open }), async (disk, request) => {
      const name = request.exportName && `export '${harmless(request.exportName)}': `;
      const differs = (offset: bigint, what: string) =>
        new BlockError('EIO', `verify: ${name}at offset ${offset} ${what}`, { offset });
      return comparing(disk, await compare(disk, differs, request));
    });
  },
});

/** Clients are told of no holes: they would not read them, and nobody would look at what is there. */
function comparing(disk: BlockDevice, comparison: Comparison): BlockDevice {
  return wrapDevice(readOnlyDevice(disk), {
    ...PASS,
    read: (offset, length, options) => comparison.read(offset, length, options),
    extents: undefined,
    close: async () => {
      try {
        await disk.close?.();
      } finally {
        await comparison.close?.();
      }
    },
  });
}
