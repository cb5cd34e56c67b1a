import { BlockError } from '../../block/errors.ts';
import { utf16 } from '../../images/parents.ts';
import { guid, guidText, MIB, newGuid, wrong } from './structures.ts';

/** What never changes of a disk. */
export interface Metadata {
  /** Bytes of a block, of the disk and of its sectors. */
  readonly block: number;
  readonly size: bigint;
  readonly sector: number;
  /** All blocks have their room from the beginning. */
  readonly fixed: boolean;
  /** How the disk behind this one is found: keys and values. */
  readonly parent: ReadonlyMap<string, string> | undefined;
}

export const METADATA_BYTES = MIB;
const TABLE = 64 << 10;
const MOST_ITEMS = 2047;
const MOST_SIZE = 64n << 40n;
const MOST_LOCATOR = 256 << 10;
const REQUIRED = 4;

const ITEMS = {
  parameters: guid('CAA16737-FA36-4D43-B3B6-33F0AA44E76B'),
  size: guid('2FA54224-CD1B-4876-B211-5DBED83BF4B8'),
  page83: guid('BECA12AB-B2E6-4523-93EF-C309E000C746'),
  logicalSector: guid('8141BF1D-A96F-4709-BA47-F233A8FAAB5F'),
  physicalSector: guid('CDA348C7-445D-4471-9CC9-E9885251C556'),
  parent: guid('A8D35F2D-B30B-454D-ABF7-D3D84834AB0C'),
};
type Item = keyof typeof ITEMS;

/** The table of the metadata, and the bytes of each of its items. */
export const METADATA_TABLE = TABLE;

/** Where the items are in the region, and how long. @throws BlockError */
export function parseItems(
  table: Buffer,
  room: number,
): Map<Item, { readonly at: number; readonly length: number }> {
  if (table.toString('latin1', 0, 8) !== 'metadata') throw wrong('the metadata is missing');
  const count = table.readUInt16LE(10);
  if (count > MOST_ITEMS) throw wrong(`${count} items of metadata`);
  const found = new Map<Item, { at: number; length: number }>();
  for (let entry = 32; entry < 32 + count * 32; entry += 32) {
    const id = table.subarray(entry, entry + 16);
    const at = table.readUInt32LE(entry + 16);
    const length = table.readUInt32LE(entry + 20);
    const name = (Object.keys(ITEMS) as Item[]).find(each => ITEMS[each].equals(id));
    if (!name) {
      if ((table.readUInt32LE(entry + 24) & REQUIRED) === 0) continue;
      throw new BlockError('ENOTSUP', `vhdx: the metadata ${guidText(id)} is not supported`);
    }
    if (at < TABLE || at + length > room) throw wrong(`metadata of ${length} bytes at ${at}`);
    if (found.has(name)) throw wrong(`the metadata has two items ${guidText(id)}`);
    found.set(name, { at, length });
  }
  return found;
}

/** What the items say. @param bytes of one, of its length at least. @throws BlockError */
export async function parseMetadata(
  items: ReturnType<typeof parseItems>,
  bytes: (at: number, length: number) => Promise<Buffer>,
): Promise<Metadata> {
  const item = (name: Item, length: number) => {
    const place = items.get(name);
    if (!place || place.length < length) throw wrong(`the metadata lacks its ${name}`);
    return bytes(place.at, length);
  };
  const parameters = await item('parameters', 8);
  const [block, flags] = [parameters.readUInt32LE(0), parameters.readUInt32LE(4)];
  if (block < MIB || block > 256 * MIB || (block & (block - 1)) !== 0) {
    throw wrong(`blocks of ${block} bytes: expected a power of two from 1 to 256 MiB`);
  }
  const size = (await item('size', 8)).readBigUInt64LE();
  const sector = (await item('logicalSector', 4)).readUInt32LE();
  if (sector !== 512 && sector !== 4096) throw wrong(`sectors of ${sector} bytes`);
  if (size > MOST_SIZE || size % BigInt(sector) !== 0n) throw wrong(`a disk of ${size} bytes`);
  const place = flags & 2 ? items.get('parent') : undefined;
  if (flags & 2 && (!place || place.length > MOST_LOCATOR))
    throw wrong('the parent is told nowhere');
  const parent = place && parseLocator(await bytes(place.at, place.length));
  return { block, size, sector, fixed: (flags & 1) !== 0, parent };
}

function parseLocator(bytes: Buffer): Map<string, string> {
  const count = bytes.length < 20 ? 0 : bytes.readUInt16LE(18);
  if (20 + count * 12 > bytes.length) throw wrong('the locator of the parent is cut short');
  const found = new Map<string, string>();
  for (let entry = 20; entry < 20 + count * 12; entry += 12) {
    const part = (at: number, length: number) => {
      if (at + length <= bytes.length) return utf16(bytes.subarray(at, at + length));
      throw wrong('the locator of the parent is cut short');
    };
    const key = part(bytes.readUInt32LE(entry), bytes.readUInt16LE(entry + 8));
    found.set(key, part(bytes.readUInt32LE(entry + 4), bytes.readUInt16LE(entry + 10)));
  }
  return found;
}

/** The region of a new disk, up to its last item. */
export function metadataBytes({ block, size, sector, fixed }: Omit<Metadata, 'parent'>): Buffer {
  const items: readonly (readonly [Item, number, (bytes: Buffer) => void])[] = [
    [
      'parameters',
      REQUIRED,
      bytes => {
        bytes.writeUInt32LE(block);
        bytes.writeUInt32LE(fixed ? 1 : 0, 4);
      },
    ],
    ['size', REQUIRED | 2, bytes => void bytes.writeBigUInt64LE(size)],
    ['page83', REQUIRED | 2, bytes => void newGuid().copy(bytes)],
    ['logicalSector', REQUIRED | 2, bytes => void bytes.writeUInt32LE(sector)],
    ['physicalSector', REQUIRED | 2, bytes => void bytes.writeUInt32LE(4096)],
  ];
  const lengths: Partial<Record<Item, number>> = {
    page83: 16,
    logicalSector: 4,
    physicalSector: 4,
  };
  const bytes = Buffer.alloc(TABLE + 4096);
  bytes.write('metadata', 'latin1');
  bytes.writeUInt16LE(items.length, 10);
  let at = TABLE;
  for (const [index, [name, flags, write]] of items.entries()) {
    const entry = 32 + index * 32;
    const length = lengths[name] ?? 8;
    ITEMS[name].copy(bytes, entry);
    bytes.writeUInt32LE(at, entry + 16);
    bytes.writeUInt32LE(length, entry + 20);
    bytes.writeUInt32LE(flags, entry + 24);
    write(bytes.subarray(at, at + length));
    at += length;
  }
  return bytes;
}
