import { basename } from 'node:path';
import type { BlockDevice } from '../../block/device.ts';
import { BlockError, UsageError } from '../../block/errors.ts';
import type { OpenImage } from '../../images/image.ts';
import type { ImageFile } from '../../images/image-file.ts';
import { newFile } from '../../images/new-file.ts';
import { descriptorText, NO_PARENT, SECTOR } from './descriptor.ts';
import { CIDS, newCid } from './identity.ts';
import type { Options } from './options.ts';
import { type NewSparse, newSparse } from './sparse-header.ts';

/** Bytes of an extent where they are several. */
const SPLIT = 2 ** 31;
/** Of the tables that are made in one go. */
const PIECE = 1 << 20;

/** A part of a new disk. */
interface NewExtent {
  readonly name: string;
  readonly size: number;
}

/** @throws UsageError options that do not go together; BlockError */
export async function createVmdk(
  below: BlockDevice,
  size: bigint,
  options: Options,
  context: OpenImage,
): Promise<void> {
  const { subformat, zeroed_grain: zero, backing_file: backing } = options;
  const isFlat = subformat.endsWith('Flat');
  if (backing !== undefined && isFlat) {
    throw new UsageError("Flat image can't have backing file");
  }
  if (isFlat && zero) throw new UsageError("Flat image can't enable zeroed grain");
  const rounded = ((size + 511n) / 512n) * 512n;
  if (rounded > 2n ** 53n - 1n) throw new BlockError('ENOSPC', 'vmdk: the disk is too large');
  const parts = partsOf(subformat, Number(rounded), context.name);
  const type = isFlat ? 'FLAT' : 'SPARSE';
  const text = descriptorText({
    cid: newCid(),
    parentCid: await parentCid(backing, context),
    createType: subformat,
    parentHint: backing,
    extents: parts.map(({ name, size: part }) => {
      return `RW ${part / SECTOR} ${type} "${name}"${isFlat ? ' 0' : ''}`;
    }),
    size: rounded,
    adapter: options.adapter_type,
    hardware: options.hwversion !== 'undefined' ? options.hwversion : options.compat6 ? '6' : '4',
    tools: options.toolsversion,
  });
  const file = await newFile(below);
  if (subformat === 'monolithicSparse' || subformat === 'streamOptimized') {
    const layout = newSparse(Number(rounded), {
      zero,
      compressed: subformat === 'streamOptimized',
    });
    await writeSparse(file, layout, text);
    return;
  }
  for (const part of parts) await createPart(part, isFlat, zero, context);
  await file.write(0n, Buffer.from(text, 'latin1'));
  await finish(file);
}

function partsOf(subformat: string, size: number, path: string | undefined): NewExtent[] {
  const name = path === undefined ? 'disk.vmdk' : basename(path);
  const stem = name.replace(/\.vmdk$/, '');
  if (subformat === 'monolithicFlat') return [{ name: `${stem}-flat.vmdk`, size }];
  if (!subformat.startsWith('twoGb')) return [{ name, size }];
  const letter = subformat.endsWith('Flat') ? 'f' : 's';
  return Array.from({ length: Math.max(1, Math.ceil(size / SPLIT)) }, (_, index) => ({
    name: `${stem}-${letter}${String(index + 1).padStart(3, '0')}.vmdk`,
    size: Math.min(SPLIT, size - index * SPLIT),
  }));
}

async function parentCid(name: string | undefined, { neighbours }: OpenImage): Promise<number> {
  if (name === undefined) return NO_PARENT;
  const parent = await neighbours.image(name, 'vmdk');
  await parent.device.close?.();
  return CIDS.get(parent) ?? NO_PARENT;
}

async function createPart(
  { name, size }: NewExtent,
  isFlat: boolean,
  zero: boolean,
  { neighbours }: OpenImage,
): Promise<void> {
  if (!neighbours.create) {
    throw new UsageError('this subformat consists of several files, which cannot be made here');
  }
  const below = await neighbours.create(name);
  try {
    const file = await newFile(below);
    if (!isFlat) return await writeSparse(file, newSparse(size, { zero, compressed: false }));
    await file.grow(size);
    await finish(file);
  } finally {
    await below.close?.();
  }
}

async function writeSparse(file: ImageFile, layout: NewSparse, text?: string): Promise<void> {
  const { bytes, directories, descriptorAt, descriptorLength, dataAt } = layout;
  const descriptor = Buffer.from(text ?? '', 'latin1');
  if (descriptor.length > descriptorLength) {
    throw new BlockError(
      'ENOSPC',
      `vmdk: the descriptor takes more than ${descriptorLength} bytes`,
    );
  }
  await file.write(0n, bytes);
  await file.zero(bytes.length, dataAt - bytes.length);
  await file.write(BigInt(descriptorAt), descriptor);
  for (const { at, tables } of directories) {
    for (let first = 0; first < tables.length; first += PIECE / 4) {
      const part = tables.slice(first, first + PIECE / 4);
      const entries = Buffer.alloc(part.length * 4);
      for (const [index, sector] of part.entries()) entries.writeUInt32LE(sector, index * 4);
      await file.write(BigInt(at + first * 4), entries);
    }
  }
  await finish(file);
}

async function finish(file: ImageFile): Promise<void> {
  await file.trimEnd();
  await file.flush();
}
