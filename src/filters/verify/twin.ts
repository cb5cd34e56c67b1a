import { alignedDevice } from '../../block/aligned.ts';
import { allOf } from '../../block/all-of.ts';
import { discard } from '../../block/close-all.ts';
import { contiguous } from '../../block/data.ts';
import type { BlockDevice, OpenRequest } from '../../block/device.ts';
import { BlockError, naming } from '../../block/errors.ts';
import { mismatch } from '../../block/verify.ts';
import { parseNbdUri } from '../../protocol/uri.ts';
import { statOf } from '../../stores/file/open.ts';
import type { Compare } from './comparison.ts';

/** Compares with a file or block device. @throws UsageError there is none. */
export function fileTwin(path: string): Compare {
  statOf('verify-file', path);
  return twin(path, async () => {
    const { fileDevice } = await import('../../stores/file/device.ts');
    const { openFile } = await import('../../stores/file/open.ts');
    return fileDevice(openFile(path, true));
  });
}

/** Compares with an export of an NBD server. @throws UsageError it is no URI. */
export function uriTwin(text: string): Compare {
  const uri = naming('verify-uri', () => parseNbdUri(text));
  return twin(text, async ({ signal }) => {
    const { connect } = await import('../../client/connect.ts');
    return connect(uri, { signal });
  });
}

/** Compares with another disk, which each client has opened for itself. */
function twin(name: string, open: (request: OpenRequest) => Promise<BlockDevice>): Compare {
  return async (disk, differs, request) => {
    const other = await open(request);
    if (other.size !== disk.size) {
      await discard(other);
      const words = `verify: '${name}' has ${other.size} bytes, and the disk has ${disk.size}`;
      throw new BlockError('EIO', words);
    }
    const expected = alignedDevice(other);
    return {
      read: async (offset, length, options) => {
        const { signal } = options ?? {};
        const both = [
          () => disk.read(offset, length, options),
          () => expected.read(offset, length, { signal }),
        ];
        const [data, right] = await allOf(both.map(async read => await read()));
        const at = mismatch(contiguous(data!), right!);
        if (at !== undefined) throw differs(offset + BigInt(at), `the disk differs from '${name}'`);
        return data!;
      },
      close: () => other.close?.(),
    };
  };
}
