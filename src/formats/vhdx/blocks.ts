import { BlockError } from '../../block/errors.ts';
import { type BlockEntry, BlockMap } from '../../images/block-map.ts';
import type { ImageFile } from '../../images/image-file.ts';
import type { Metadata } from './metadata.ts';
import { MIB, type Region, wrong } from './structures.ts';

/** States of a block: never written, zeroes, data, data in some of its sectors. */
const STATE = { absent: 0, undefined: 1, zero: 2, unmapped: 3, present: 6, partial: 7 };
const ENTRY = 8;
/** Sectors of the disk for which one block of bits has room. */
const CHUNK_SECTORS = 2 ** 23;
/** Bytes of the table that are looked at in one go. */
const PIECE = MIB;

/** Where entries are: after so many of blocks there is one of the bits of their sectors. */
export class Layout {
  readonly ratio: number;
  readonly blocks: number;
  /** Entries of the whole table. */
  readonly entries: number;

  constructor({ block, sector, size, parent }: Metadata) {
    this.ratio = (CHUNK_SECTORS * sector) / block;
    this.blocks = Number((size + BigInt(block - 1)) / BigInt(block));
    const chunks = Math.ceil(this.blocks / this.ratio);
    this.entries = parent
      ? chunks * (this.ratio + 1)
      : this.blocks + Math.floor(Math.max(0, this.blocks - 1) / this.ratio);
  }

  entryOf(block: number): number {
    return block + Math.floor(block / this.ratio);
  }

  isBits(entry: number): boolean {
    return entry % (this.ratio + 1) === this.ratio;
  }
}

/** The blocks of a disk. */
export class VhdxBlocks extends BlockMap {
  readonly #table: Region;
  readonly #layout: Layout;
  readonly #metadata: Metadata;
  readonly #bytesOfBits: number;
  /** Where the bits of each chunk are, of disks over others. */
  readonly #bits: number[] = [];

  constructor(file: ImageFile, table: Region, metadata: Metadata) {
    const { size, block, sector } = metadata;
    super({ file, size, block, sector, entryBytes: ENTRY });
    this.#table = table;
    this.#metadata = metadata;
    this.#layout = new Layout(metadata);
    this.#bytesOfBits = block / sector / 8;
    const isOver = metadata.parent !== undefined;
    if (metadata.fixed) this.knowsZero(undefined, isOver);
    else this.knowsZero((bytes, at) => writeEntry(bytes, at, 0), isOver);
    if (this.#layout.entries * ENTRY > table.length) throw wrong('the table is too small');
  }

  /**
   * Looks through the table: where bits are and, for writing, where blocks end.
   * @throws BlockError EIO the file ends before.
   */
  async survey(writable: boolean): Promise<void> {
    const bytes = this.#layout.entries * ENTRY;
    const size = Number(this.file.device.size);
    if (this.#table.at + bytes > size) {
      throw new BlockError('EIO', 'vhdx: the table lies beyond the file');
    }
    if (!writable && !this.#metadata.parent) return;
    let end = MIB;
    for (let at = 0; at < bytes; at += PIECE) {
      const piece = await this.file.bytes(this.#table.at + at, Math.min(PIECE, bytes - at));
      for (let within = 0; within < piece.length; within += ENTRY) {
        const { state, place } = entryAt(piece, within);
        const isBits = this.#layout.isBits((at + within) / ENTRY);
        if (isBits) this.#bits.push(state === STATE.present ? place : 0);
        const length = isBits ? MIB : this.cluster;
        if (state >= STATE.present && place + length > end) end = place + length;
      }
    }
    if (writable && end > size) throw new BlockError('EIO', 'vhdx: blocks lie beyond the file');
    if (writable) this.file.end = Math.max(end, Math.ceil(size / MIB) * MIB);
  }

  protected entryAt(index: number): number {
    return this.#table.at + this.#layout.entryOf(index) * ENTRY;
  }

  protected parse(bytes: Buffer, at: number, index: number): BlockEntry {
    const { state, place } = entryAt(bytes, at);
    switch (state) {
      case STATE.absent:
        return { kind: 'absent', at: 0 };
      case STATE.undefined:
      case STATE.zero:
      case STATE.unmapped:
        return { kind: 'zero', at: 0 };
      case STATE.present:
      case STATE.partial:
        if (place < MIB) throw new BlockError('EIO', 'vhdx: a block lies over the header');
        if (state === STATE.present) return { kind: 'data', at: place };
        return { kind: 'data', at: place, bits: this.#bitsOf(index) };
      default:
        throw new BlockError('EIO', `vhdx: a block in the state ${state}`);
    }
  }

  #bitsOf(index: number): number {
    const { ratio } = this.#layout;
    const chunk = this.#bits[Math.floor(index / ratio)];
    if (!chunk) throw new BlockError('EIO', 'vhdx: the bits of a block are missing');
    return chunk + (index % ratio) * this.#bytesOfBits;
  }

  protected put(bytes: Buffer, at: number, place: number): void {
    writeEntry(bytes, at, place);
  }

  protected take(most: number): { at: number; count: number } {
    const at = this.file.end;
    this.file.end += most * this.cluster;
    return { at, count: most };
  }
}

/** Places are counted in MiB, above 20 bits of which three are the state. */
function entryAt(bytes: Buffer, at: number): { state: number; place: number } {
  const low = bytes.readUInt32LE(at);
  const place = (low >>> 20) + bytes.readUInt32LE(at + 4) * 4096;
  return { state: low & 7, place: Math.min(place * MIB, Number.MAX_SAFE_INTEGER) };
}

/** @param place of data; 0: of a block of zeroes. */
export function writeEntry(bytes: Buffer, at: number, place: number): void {
  const state = place === 0 ? STATE.zero : STATE.present;
  bytes.writeBigUInt64LE((BigInt(place / MIB) << 20n) | BigInt(state), at);
}
