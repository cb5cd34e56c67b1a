import { BlockError, UsageError } from '../../block/errors.ts';
import { humanSize, parseSize } from '../../block/size.ts';
import { definePlugin } from '../../declare/declare.ts';
import { temporaryImage } from '../../stores/file/image.ts';
import { statOf } from '../../stores/file/open.ts';
import { contentsOf } from './contents.ts';
import { type DiskWishes, freeBytes, writeDisk } from './disk.ts';
import { estimate, layoutOf } from './layout.ts';

const LABEL_MAX = 16;
/** Estimates that turn out to be too small are doubled this often. */
const ATTEMPTS = 6;

export default definePlugin({
  name: 'linuxdisk',
  description: 'a directory as a disk with an ext2, ext3 or ext4 partition',
  parameters: {
    dir: { type: 'path', required: true, bare: true, help: 'Directory for the root' },
    type: {
      type: 'string',
      choices: ['ext2', 'ext3', 'ext4'],
      default: 'ext2',
      help: 'Kind of file system',
    },
    label: { type: 'string', default: '', help: 'Label of the file system' },
    size: { type: 'string', help: 'Size of the file system, or +SIZE of its free space' },
  },
  async create({ dir, type, label, size }, { warn }) {
    if (!statOf('dir', dir).isDirectory()) {
      throw new UsageError(`dir: '${dir}': expected a directory`);
    }
    if (Buffer.byteLength(label) > LABEL_MAX) {
      throw new UsageError(`label: '${label}': expected at most ${LABEL_MAX} bytes`);
    }
    const wanted = wantedSize(size);
    return temporaryImage(fd => build(fd, { dir, type, label }, wanted, warn));
  },
});

/** The size of the file system, or the free space that it is to have. In bytes. */
type Wanted = { readonly size: number } | { readonly free: number };

function wantedSize(text: string | undefined): Wanted {
  if (text === undefined) return { free: 0 };
  try {
    return text.startsWith('+')
      ? { free: Number(parseSize(text.slice(1))) }
      : { size: Number(parseSize(text)) };
  } catch (error) {
    throw error instanceof UsageError ? new UsageError(`size: ${error.message}`) : error;
  }
}

async function build(
  fd: number,
  wishes: DiskWishes,
  wanted: Wanted,
  warn: (message: string) => void,
): Promise<void> {
  const contents = await contentsOf(wishes.dir);
  const write = async (bytes: number) => {
    const words = await writeDisk(fd, wishes, layoutOf(bytes, contents));
    if (words !== '') warn(words);
  };
  if ('size' in wanted) {
    return write(wanted.size).catch(error => {
      throw isFull(error) ? new UsageError(`size: '${wishes.dir}' does not fit into it`) : error;
    });
  }
  let bytes = estimate(contents, wishes.type, wanted.free);
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    try {
      await write(bytes);
      const missing = wanted.free - freeBytes(fd);
      if (missing <= 0) return;
      bytes += 2 * missing;
    } catch (error) {
      if (!isFull(error)) throw error;
      bytes *= 2;
    }
  }
  const tried = humanSize(BigInt(bytes));
  throw new BlockError('ENOSPC', `'${wishes.dir}' does not fit into ${tried}: give a size`);
}

/** What mke2fs says when the file system is too small for the files. */
function isFull(error: unknown): boolean {
  return error instanceof BlockError && /could not allocate|no free space/i.test(error.message);
}
