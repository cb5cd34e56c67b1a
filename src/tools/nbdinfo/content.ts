import { execFile } from 'node:child_process';
import { contiguous } from '../../block/data.ts';
import type { BlockDevice } from '../../block/device.ts';

const PROBE_BYTES = 8192;

/** What the program `file` says about the beginning of a device; undefined where it is missing. */
export async function contentOf(device: BlockDevice): Promise<string | undefined> {
  const { size, blockSize } = device;
  const length = size < PROBE_BYTES ? Number(size) : PROBE_BYTES;
  const step = blockSize?.minimum ?? 1;
  // A size that is no multiple of the smallest block has an end that cannot be read.
  const readable = length - (length % step);
  const bytes = readable === 0 ? Buffer.alloc(0) : contiguous(await device.read(0n, readable));
  return new Promise(resolve => {
    const child = execFile('file', ['-b', '-'], (error, stdout) => {
      resolve(error ? undefined : stdout.trimEnd());
    });
    child.stdin?.on('error', () => {});
    child.stdin?.end(bytes);
  });
}
