import { paddingDevice } from '../../block/constant.ts';
import type { BlockDevice } from '../../block/device.ts';
import { joinDevices } from '../../block/join.ts';
import type { RangeLock } from '../../block/range-lock.ts';
import { withRecipeOf } from '../../block/recipe.ts';
import { sliceDevice } from '../../block/slice.ts';
import { PASS, wrapDevice } from '../../block/wrap.ts';
import type { ArchiveEntry } from './entry.ts';
import type { TarRun } from './tar-header.ts';

export interface Embedded {
  readonly name: string;
  readonly at: number;
  readonly size: number;
  /** Of a sparse file: the parts that follow each other from `at` on. */
  readonly runs?: readonly TarRun[] | undefined;
}

/** A file that is in a tar archive as it is. */
export function embedded(file: Embedded): ArchiveEntry {
  const { name, at, size, runs } = file;
  return {
    name,
    size,
    open(archive, { locks }) {
      const disk = runs
        ? sparse(archive, file, locks)
        : sliceDevice(archive, BigInt(at), BigInt(size), locks && { locks });
      const { description } = archive;
      if (description === undefined) return disk;
      const value = `embedded ${name} from within tar file: ${description}`;
      return Object.defineProperty(disk, 'description', { value, enumerable: true });
    },
  };
}

/** Parts of the archive, and zeroes between them. */
function sparse(
  archive: BlockDevice,
  { at, size, runs }: Embedded,
  locks?: RangeLock,
): BlockDevice {
  const open = withRecipeOf(archive, wrapDevice(archive, { ...PASS, close: () => {} }));
  const parts: BlockDevice[] = [];
  let [from, end] = [at, 0];
  for (const { offset, length } of runs!) {
    parts.push(paddingDevice(BigInt(offset - end)));
    parts.push(sliceDevice(open, BigInt(from), BigInt(length), locks && { locks }));
    from += length;
    end = offset + length;
  }
  parts.push(paddingDevice(BigInt(size - end)));
  const joined = joinDevices(parts);
  const close = () => archive.close?.();
  return withRecipeOf(joined, wrapDevice(joined, { ...PASS, close }));
}
