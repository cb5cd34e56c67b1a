import type { BlockDevice } from '../../block/device.ts';
import { UsageError } from '../../block/errors.ts';
import type { ParameterDeclarations, ParameterValues } from '../../declare/parameters.ts';
import type { ImageFile } from '../../images/image-file.ts';
import { newFile } from '../../images/new-file.ts';
import { Layout, writeEntry } from './blocks.ts';
import { METADATA_BYTES, metadataBytes } from './metadata.ts';
import {
  HEADER_SECTION,
  HEADERS_AT,
  headerBytes,
  MIB,
  NO_GUID,
  newGuid,
  REGIONS_AT,
  regionBytes,
} from './structures.ts';

/** What one can choose of a new image, by qemu's names. */
export const OPTIONS = {
  block_size: {
    type: 'size',
    default: '0',
    help: 'Block Size; min 1MB, max 256MB. 0 means auto-calculate based on image size.',
  },
  block_state_zero: {
    type: 'boolean',
    default: 'on',
    help: "Force use of payload blocks of type 'ZERO'. Non-standard, but default.  Do not set to 'off' when using 'qemu-img convert' with subformat=dynamic.",
  },
  log_size: { type: 'size', default: '1048576', help: 'Log size; min 1MB.' },
  subformat: {
    type: 'string',
    choices: ['dynamic', 'fixed'],
    default: 'dynamic',
    help: "VHDX format type, can be either 'dynamic' or 'fixed'. Default is 'dynamic'.",
  },
} as const satisfies ParameterDeclarations;

const GIB = 2n ** 30n;
/** Entries of the table that are made in one go. */
const PIECE = 65536;

/** @throws UsageError options that do not go together. */
export async function createVhdx(
  below: BlockDevice,
  wanted: bigint,
  options: ParameterValues<typeof OPTIONS>,
): Promise<void> {
  const size = ((wanted + 511n) / 512n) * 512n;
  if (size > 65536n * GIB) throw new UsageError('Image size too large; max of 64TB');
  const block = blockFor(size, Number(options.block_size));
  const logLength = Number(options.log_size);
  if (logLength < MIB || logLength % MIB !== 0 || logLength >= 2 ** 32) {
    throw new UsageError('Log size must be a multiple of 1 MB');
  }
  const isFixed = options.subformat === 'fixed';
  const metadata = { block, size, sector: 512, fixed: isFixed, parent: undefined };
  const layout = new Layout(metadata);
  const bat = {
    at: HEADER_SECTION + logLength,
    length: Math.max(1, Math.ceil((layout.entries * 8) / MIB)) * MIB,
  };
  const region = { at: bat.at + bat.length, length: METADATA_BYTES };
  const file = await newFile(below);
  await file.zero(0, region.at + region.length);
  const dataAt = region.at + region.length;
  if (isFixed || options.block_state_zero) {
    await writeTable(file, bat.at, layout, index => (isFixed ? dataAt + index * block : 0));
  }
  if (isFixed) await file.zero(dataAt, layout.blocks * block);
  await file.write(BigInt(region.at), metadataBytes(metadata));
  for (const at of REGIONS_AT) {
    await file.write(BigInt(at), regionBytes({ bat, metadata: region }));
  }
  const log = { logGuid: NO_GUID, logAt: HEADER_SECTION, logLength };
  const guids = { fileGuid: newGuid(), dataGuid: newGuid() };
  for (const [index, at] of HEADERS_AT.entries()) {
    await file.write(BigInt(at), headerBytes({ sequence: BigInt(index), ...guids, ...log }));
  }
  await file.write(0n, Buffer.concat([Buffer.from('vhdxfile'), Buffer.from('nbdpipe', 'utf16le')]));
  await file.trimEnd();
  await file.flush();
}

/** As qemu chooses it. */
function blockFor(size: bigint, wanted: number): number {
  if (wanted === 0) {
    if (size > 32n * 1024n * GIB) return 64 * MIB;
    if (size > 100n * GIB) return 32 * MIB;
    return size > GIB ? 16 * MIB : 8 * MIB;
  }
  if (wanted % MIB !== 0) throw new UsageError('Block size must be a multiple of 1 MB');
  if (wanted > 256 * MIB) throw new UsageError('Block size must not exceed 256 MB');
  if ((wanted & (wanted - 1)) !== 0) throw new UsageError('Block size must be a power of two');
  return wanted;
}

async function writeTable(
  file: ImageFile,
  at: number,
  layout: Layout,
  placeOf: (index: number) => number,
): Promise<void> {
  let index = 0;
  for (let first = 0; first < layout.entries; first += PIECE) {
    const bytes = Buffer.alloc(Math.min(PIECE, layout.entries - first) * 8);
    for (let within = 0; within < bytes.length; within += 8) {
      if (layout.isBits(first + within / 8)) continue;
      writeEntry(bytes, within, placeOf(index));
      index += 1;
    }
    await file.write(BigInt(at + first * 8), bytes);
  }
}
