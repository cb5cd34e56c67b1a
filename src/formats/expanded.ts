import { alignedDevice } from '../block/aligned.ts';
import { contiguous } from '../block/data.ts';
import type { BlockDevice } from '../block/device.ts';

/** Blocks of compressed files that are kept in memory. */
const DEPTH = 8;
const LARGEST_BLOCK = 512 << 20;

const quiet = () => {};

/** By what a file begins with. Those that have blocks are read anywhere, the others as a whole first. */
const KINDS: readonly {
  readonly magic: string;
  open(file: BlockDevice): Promise<BlockDevice>;
}[] = [
  {
    magic: '\xfd7zXZ\0',
    open: async file => {
      const { openXz } = await import('./xz/xz.ts');
      return openXz(file, { maxBlock: LARGEST_BLOCK, depth: DEPTH, debug: quiet });
    },
  },
  {
    magic: '\x28\xb5\x2f\xfd',
    open: async file => {
      const { openZstd } = await import('./zstd/zstd.ts');
      return openZstd(file, { depth: DEPTH, debug: quiet });
    },
  },
  { magic: '\x1f\x8b', open: file => whole(file, 'gzip') },
  { magic: 'BZh', open: file => whole(file, 'bzip2') },
];

async function whole(file: BlockDevice, kind: 'gzip' | 'bzip2'): Promise<BlockDevice> {
  const { decodedWhole } = await import('../codecs/decoded.ts');
  return decodedWhole(file, { kind }, { format: kind, debug: quiet });
}

/** What a compressed file holds, which closes it; any other file as it is. @throws BlockError */
export async function expanded(file: BlockDevice): Promise<BlockDevice> {
  if (file.size < 8n) return file;
  const start = Buffer.from(contiguous(await alignedDevice(file).read(0n, 8))).toString('latin1');
  const kind = KINDS.find(({ magic }) => start.startsWith(magic));
  return kind ? kind.open(file) : file;
}
