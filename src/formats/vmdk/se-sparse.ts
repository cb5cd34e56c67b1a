import { BlockError } from '../../block/errors.ts';
import { type BlockEntry, BlockMap } from '../../images/block-map.ts';
import type { ImageFile } from '../../images/image-file.ts';
import { mappedDevice } from '../../images/mapped-device.ts';
import { SECTOR, wrong } from './descriptor.ts';
import type { Extent, Opening } from './extents.ts';

/** Space-efficient extents of ESX, for reading; all numbers are little-endian words of 64 bits. */
const MAGIC = 0xcafebaben;
const VOLATILE_MAGIC = 0xcafecafen;
const VERSION = 0x200000001n;
const ENTRY = 8;
const GRAIN = 8 * SECTOR;
const TABLE = 64 * SECTOR;
const PER_TABLE = TABLE / ENTRY;
/** For 64 TiB. */
const MOST_TABLES = 1 << 22;

/** What the upper four bits of a grain's entry say. */
const KIND = { absent: 0, unmapped: 1, zero: 2, data: 3 };

/** Where things are in the file, in bytes. */
interface Layout {
  readonly size: number;
  readonly tablesAt: number;
  readonly grainsAt: number;
  readonly directory: Buffer;
}

/** Opens an extent of so many bytes. @throws BlockError EINVAL, ENOTSUP */
export async function openSeSparse(
  file: ImageFile,
  size: number,
  { backing }: Opening,
): Promise<Extent> {
  const grains = new SeGrains(file, await readLayout(file, size));
  const close = () => file.close();
  const parts = { mapping: grains, data: file, backing, preferred: GRAIN, close };
  return { device: mappedDevice(parts) };
}

async function readLayout(file: ImageFile, size: number): Promise<Layout> {
  const bytes = await file.bytes(0, SECTOR);
  const word = (at: number) => bytes.readBigUInt64LE(at);
  if (word(0) !== MAGIC) throw wrong('the extent is no seSparse one');
  if (word(8) !== VERSION) {
    throw new BlockError('ENOTSUP', `vmdk: Unsupported version of seSparse: ${word(8)}`);
  }
  if (word(24) * BigInt(SECTOR) !== BigInt(GRAIN))
    throw wrong(`Unsupported grain size: ${word(24)}`);
  if (word(32) * BigInt(SECTOR) !== BigInt(TABLE)) {
    throw wrong(`Unsupported grain table size: ${word(32)}`);
  }
  const place = (at: number) => {
    if (word(at) < 2n ** 43n) return Number(word(at)) * SECTOR;
    throw wrong(`the header tells of sector ${word(at)}`);
  };
  if (place(16) < size)
    throw wrong(`the extent has ${place(16)} bytes, the descriptor says ${size}`);
  const changing = await file.bytes(place(80), SECTOR);
  if (changing.readBigUInt64LE(0) !== VOLATILE_MAGIC) throw wrong('the second header is damaged');
  if (changing.readBigUInt64LE(24) !== 0n) {
    throw new BlockError('ENOTSUP', 'vmdk: Image is dirty, Replaying journal not supported');
  }
  const tables = Math.ceil(size / GRAIN / PER_TABLE);
  if (tables > MOST_TABLES) throw new BlockError('EINVAL', 'L1 size too big');
  if (place(128) + tables * ENTRY > file.device.size) throw wrong('the file is cut short');
  const directory = await file.bytes(place(128), tables * ENTRY);
  return { size, tablesAt: place(144), grainsAt: place(192), directory };
}

class SeGrains extends BlockMap {
  readonly #layout: Layout;

  constructor(file: ImageFile, layout: Layout) {
    super({ file, size: BigInt(layout.size), block: GRAIN, entryBytes: ENTRY });
    this.#layout = layout;
  }

  protected entryAt(index: number): number | undefined {
    const { directory, tablesAt } = this.#layout;
    const at = Math.floor(index / PER_TABLE) * ENTRY;
    const [low, high] = [directory.readUInt32LE(at), directory.readUInt32LE(at + 4)];
    if (low === 0 && high === 0) return undefined;
    if (high !== 0x10000000) throw new BlockError('EIO', 'vmdk: the directory is damaged');
    return tablesAt + low * TABLE + (index % PER_TABLE) * ENTRY;
  }

  protected parse(bytes: Buffer, at: number): BlockEntry {
    const entry = bytes.readBigUInt64LE(at);
    const kind = Number(entry >> 60n);
    if (entry === 0n) return { kind: 'absent', at: 0 };
    if (kind === KIND.unmapped || kind === KIND.zero) return { kind: 'zero', at: 0 };
    if (kind !== KIND.data) throw new BlockError('EIO', `vmdk: a grain of the kind ${kind}`);
    // The lower twelve bits of its number stand above the others.
    const grain = ((entry >> 48n) & 0xfffn) | ((entry & 0xffff_ffff_ffffn) << 12n);
    const most = BigInt(Number.MAX_SAFE_INTEGER);
    const place = BigInt(this.#layout.grainsAt) + grain * BigInt(GRAIN);
    return { kind: 'data', at: Number(place < most ? place : most) };
  }

  protected put(): never {
    throw new BlockError('ENOTSUP', 'vmdk: seSparse extents are not written');
  }

  protected take(): never {
    return this.put();
  }
}
