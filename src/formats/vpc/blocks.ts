import { BlockError } from '../../block/errors.ts';
import { type BlockEntry, BlockMap } from '../../images/block-map.ts';
import type { ImageFile } from '../../images/image-file.ts';
import type { DynamicHeader } from './dynamic.ts';
import { FOOTER, type Footer, wrong } from './footer.ts';

const ABSENT = 0xffff_ffff;
const SECTOR = 512;
/** Bytes of the table that are looked at in one go. */
const PIECE = 1 << 20;

/** The blocks of a disk that grows: each has a bit for each of its sectors before it. */
export class VpcBlocks extends BlockMap {
  readonly #footer: Footer;
  readonly #header: DynamicHeader;
  /** Where the next block goes, or the footer. */
  #next = 0;
  #footerAt: number | undefined;
  #writing: Promise<void> | undefined;

  constructor(file: ImageFile, footer: Footer, header: DynamicHeader) {
    const { block } = header;
    const bits = { unit: SECTOR, highestFirst: true };
    super({ file, size: footer.size, block, entryBytes: 4, ...bits });
    this.#footer = footer;
    this.#header = header;
    // Of a disk over another one it would show that.
    if (!this.#isOver) this.knowsZero((bytes, at) => void bytes.writeUInt32BE(ABSENT, at));
  }

  get #isOver(): boolean {
    return this.#footer.kind === 'differencing';
  }

  /** Finds where blocks end. @throws BlockError EIO the file ends before. */
  async findEnd(): Promise<void> {
    const { tableAt, entries, block, bitBytes } = this.#header;
    let last = -1;
    for (let at = 0; at < entries * 4; at += PIECE) {
      const bytes = await this.file.bytes(tableAt + at, Math.min(PIECE, entries * 4 - at));
      for (let entry = 0; entry < bytes.length; entry += 4) {
        const sector = bytes.readUInt32BE(entry);
        if (sector !== ABSENT && sector > last) last = sector;
      }
    }
    const size = Number(this.file.device.size);
    if (last * SECTOR >= size) throw new BlockError('EIO', 'vpc: blocks lie beyond the file');
    const afterTable = tableAt + Math.ceil((entries * 4) / SECTOR) * SECTOR;
    this.#next = Math.max(afterTable, last < 0 ? 0 : last * SECTOR + bitBytes + block);
    this.file.end = this.#next + FOOTER;
    if (this.file.end === size) this.#footerAt = this.#next;
  }

  protected entryAt(index: number): number {
    return this.#header.tableAt + index * 4;
  }

  protected parse(bytes: Buffer, at: number): BlockEntry {
    const sector = bytes.readUInt32BE(at);
    if (sector === ABSENT) return { kind: this.#isOver ? 'absent' : 'zero', at: 0 };
    const bits = sector * SECTOR;
    if (bits < this.#header.tableAt)
      throw new BlockError('EIO', 'vpc: a block lies over the header');
    return { kind: 'data', at: bits + this.#header.bitBytes, bits };
  }

  protected put(bytes: Buffer, at: number, place: number): void {
    bytes.writeUInt32BE((place - this.#header.bitBytes) / SECTOR, at);
  }

  protected take(): { at: number; count: number } {
    const { block, bitBytes } = this.#header;
    const at = this.#next + bitBytes;
    if (this.#next / SECTOR >= ABSENT) throw wrong('the file cannot be larger');
    this.#next = at + block;
    this.file.end = this.#next + FOOTER;
    return { at, count: 1 };
  }

  /** Of a disk by itself all sectors of a block are there, and are zeroes at first. */
  protected override async begin(place: number): Promise<void> {
    const { bitBytes } = this.#header;
    await this.#writing;
    const bits = Buffer.alloc(bitBytes, this.#isOver ? 0 : 0xff);
    await this.file.write(BigInt(place - bitBytes), bits);
  }

  /** The footer stands behind the last block. */
  protected override async settle(): Promise<void> {
    if (this.#footerAt === this.#next) return;
    this.#footerAt = this.#next;
    this.#writing = Promise.resolve(this.file.write(BigInt(this.#next), this.#footer.bytes));
    await this.#writing;
  }

  /** Nothing is behind the footer. */
  override async close(): Promise<void> {
    await this.flush();
    const { block, bitBytes } = this.#header;
    for (let last = this.free.indexOf(this.#next - block); last >= 0; ) {
      this.free.splice(last, 1);
      this.#next -= bitBytes + block;
      this.file.end = this.#next + FOOTER;
      last = this.free.indexOf(this.#next - block);
    }
    await this.settle();
    await this.file.flush();
    if (this.file.device.size !== BigInt(this.file.end)) {
      await this.file.device.resize?.(BigInt(this.file.end));
    }
  }
}
