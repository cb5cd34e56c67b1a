import { paddingDevice } from '../../block/constant.ts';
import type { BlockDevice } from '../../block/device.ts';
import { BlockError } from '../../block/errors.ts';
import { readOnlyDevice } from '../../block/read-only.ts';
import { sliceDevice } from '../../block/slice.ts';
import type { Neighbours } from '../../images/image.ts';
import { ImageFile } from '../../images/image-file.ts';
import { mappedDevice } from '../../images/mapped-device.ts';
import { harmless } from '../../protocol/text.ts';
import { type ExtentLine, SECTOR, wrong } from './descriptor.ts';
import { Grains } from './grains.ts';
import { PackedGrains, packingDevice } from './packed.ts';
import { openSeSparse } from './se-sparse.ts';
import { HEADER, isInFooter, parseCowd, parseSparse, type SparseHeader } from './sparse-header.ts';

/** A part of the disk that is open. */
export interface Extent {
  readonly device: BlockDevice;
  /** Of those with grains. */
  readonly grains?: Grains | undefined;
}

/** How a part of the disk is opened. */
export interface Opening {
  readonly readOnly: boolean;
  /** What shows where it has nothing; its `close` does nothing. */
  readonly backing?: BlockDevice | undefined;
}

/** The header of a file with grains; undefined: it is none. @throws BlockError EINVAL, ENOTSUP */
export async function sparseHeader(file: ImageFile): Promise<SparseHeader | undefined> {
  const size = Number(file.device.size);
  const bytes = await file.bytes(0, HEADER);
  const magic = bytes.toString('latin1', 0, 4);
  if (magic === 'COWD') return parseCowd(bytes);
  if (magic !== 'KDMV') return undefined;
  if (!isInFooter(bytes)) return whole(parseSparse(bytes), size);
  const footer = await file.bytes(Math.max(0, size - 2 * SECTOR), HEADER);
  if (footer.toString('latin1', 0, 4) !== 'KDMV' || isInFooter(footer)) {
    throw wrong('the footer is missing: the image is cut short');
  }
  return whole(parseSparse(footer), size);
}

function whole(header: SparseHeader, size: number): SparseHeader {
  if (size >= header.dataAt) return header;
  throw new BlockError('EINVAL', `File truncated, expecting at least ${header.dataAt} bytes`);
}

/** Opens an extent with grains. What it was given is closed with it. */
export async function openSparse(
  file: ImageFile,
  header: SparseHeader,
  { readOnly, backing }: Opening,
): Promise<Extent> {
  const grains = await Grains.open(file, header, backing !== undefined);
  // Of version 3 qemu and VMware write compressed ones only.
  const isFixed = header.kind === 'COWD' || (header.version === 3 && !header.compressed);
  const writable = file.writable && !readOnly && !isFixed;
  const disk = mappedDevice({
    mapping: grains,
    data: file,
    packed: header.compressed ? new PackedGrains(file, grains) : undefined,
    backing,
    allocation: writable && !header.compressed ? grains : undefined,
    preferred: header.grain,
    close: async () => {
      try {
        if (writable) await grains.close();
      } finally {
        await file.close();
      }
    },
  });
  const packs = writable && header.compressed && header.markers && header.grain <= 65536;
  return { device: packs ? packingDevice(disk, file, grains) : disk, grains };
}

/** Opens what a line of a descriptor names. */
export async function openLine(
  line: ExtentLine,
  neighbours: Neighbours,
  opening: Opening,
): Promise<Extent> {
  const { type, name, size, offset, access } = line;
  if (access === 'NOACCESS') {
    throw new BlockError('ENOTSUP', 'vmdk: extents without access are not supported');
  }
  if (type === 'ZERO') return { device: paddingDevice(BigInt(size)) };
  if (!['FLAT', 'VMFS', 'SPARSE', 'VMFSSPARSE', 'SESPARSE'].includes(type)) {
    throw new BlockError('ENOTSUP', `vmdk: Unsupported extent type '${harmless(type)}'`);
  }
  const readOnly = opening.readOnly || access === 'RDONLY';
  const below = await neighbours.file(name!, readOnly);
  try {
    if (type === 'FLAT' || type === 'VMFS') return { device: flat(below, size, offset, readOnly) };
    const file = new ImageFile(below);
    if (type === 'SESPARSE') return await openSeSparse(file, size, opening);
    const header = await sparseHeader(file);
    if (!header) throw wrong(`'${harmless(name!)}' is no sparse extent`);
    if (header.size < size) {
      throw wrong(`'${harmless(name!)}' has ${header.size} bytes, the descriptor says ${size}`);
    }
    return await openSparse(file, { ...header, size }, { ...opening, readOnly });
  } catch (error) {
    await below.close?.();
    throw error;
  }
}

function flat(file: BlockDevice, size: number, offset: number, readOnly: boolean): BlockDevice {
  if (BigInt(offset + size) > file.size) {
    throw wrong(`a flat extent ends at byte ${offset + size}, its file at ${file.size}`);
  }
  const part = sliceDevice(file, BigInt(offset), BigInt(size));
  return readOnly ? readOnlyDevice(part) : part;
}
