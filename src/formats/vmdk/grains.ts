import { BlockError } from '../../block/errors.ts';
import { type BlockEntry, BlockMap } from '../../images/block-map.ts';
import type { ImageFile } from '../../images/image-file.ts';
import { SECTOR, wrong } from './descriptor.ts';
import { type SparseHeader, tablesOf } from './sparse-header.ts';

const ZERO = 1;
const MOST_SECTOR = 2 ** 32;

/** The grains of an extent: tables of them, and a directory of the tables. */
export class Grains extends BlockMap {
  readonly header: SparseHeader;
  readonly #tables: Uint32Array;
  readonly #seconds: Uint32Array | undefined;

  /** @param backed something shows where the extent has nothing. */
  static async open(file: ImageFile, header: SparseHeader, backed: boolean): Promise<Grains> {
    const tables = await directory(file, header.directoryAt, tablesOf(header));
    const { secondAt } = header;
    const seconds =
      secondAt === undefined ? undefined : await directory(file, secondAt, tablesOf(header));
    return new Grains(file, header, { tables, seconds, backed });
  }

  private constructor(
    file: ImageFile,
    header: SparseHeader,
    more: { tables: Uint32Array; seconds: Uint32Array | undefined; backed: boolean },
  ) {
    super({ file, size: BigInt(header.size), block: header.grain, entryBytes: 4 });
    this.header = header;
    this.#tables = more.tables;
    this.#seconds = more.seconds;
    if (header.knowsZero) {
      this.knowsZero((slice, at) => void slice.writeUInt32LE(ZERO, at), more.backed);
    }
    file.end = Math.ceil(Math.max(file.end, header.dataAt) / header.grain) * header.grain;
  }

  protected entryAt(index: number): number | undefined {
    return entryIn(this.#tables, index, this.header.perTable);
  }

  protected override secondEntryAt(index: number): number | undefined {
    return this.#seconds && entryIn(this.#seconds, index, this.header.perTable);
  }

  protected parse(bytes: Buffer, at: number): BlockEntry {
    const sector = bytes.readUInt32LE(at);
    if (sector === 0) return { kind: 'absent', at: 0 };
    if (sector === ZERO && this.header.knowsZero) return { kind: 'zero', at: 0 };
    return { kind: this.header.compressed ? 'packed' : 'data', at: sector * SECTOR };
  }

  protected put(bytes: Buffer, at: number, place: number): void {
    bytes.writeUInt32LE(place / SECTOR, at);
  }

  protected take(most: number): { at: number; count: number } {
    const at = this.file.end;
    const end = at + most * this.cluster;
    if (end / SECTOR > MOST_SECTOR) throw new BlockError('ENOSPC', 'vmdk: the extent is full');
    this.file.end = end;
    return { at, count: most };
  }

  /** Where a compressed grain begins; undefined: there is none. */
  async packedAt(index: number): Promise<number | undefined> {
    const { at } = await this.entryOf(index);
    return at === 0 ? undefined : at;
  }

  /** Room for so many bytes of a compressed grain, in whole sectors. */
  takePacked(bytes: number): number {
    const at = this.file.end;
    if ((at + bytes) / SECTOR > MOST_SECTOR)
      throw new BlockError('ENOSPC', 'vmdk: the extent is full');
    this.file.end = at + bytes;
    return at;
  }

  /** Leads to a compressed grain. */
  leadTo(index: number, place: number): Promise<void> {
    return this.changeEntry(index, (slice, at) => this.put(slice, at, place));
  }
}

/** @throws BlockError EINVAL the file ends before. */
async function directory(file: ImageFile, at: number, tables: number): Promise<Uint32Array> {
  if (BigInt(at) + BigInt(tables * 4) > file.device.size) throw wrong('the file is cut short');
  const bytes = await file.bytes(at, tables * 4);
  return Uint32Array.from({ length: tables }, (_, index) => bytes.readUInt32LE(index * 4));
}

function entryIn(tables: Uint32Array, index: number, perTable: number): number | undefined {
  const table = tables[Math.floor(index / perTable)];
  return table ? table * SECTOR + (index % perTable) * 4 : undefined;
}
