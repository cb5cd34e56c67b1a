import type { BlockDevice } from '../../block/device.ts';
import { BlockError } from '../../block/errors.ts';
import { type BlockEntry, BlockMap } from '../../images/block-map.ts';
import { type CheckReport, defineFormat, type Image, type OpenImage } from '../../images/image.ts';
import { ImageFile } from '../../images/image-file.ts';
import { mappedDevice } from '../../images/mapped-device.ts';
import { newFile } from '../../images/new-file.ts';
import {
  ALLOCATED_AT,
  checkPlaces,
  newVdi,
  parseVdi,
  VDI_HEADER,
  type VdiHeader,
  vdiBytes,
} from './header.ts';

/** Entries of blocks without room: never written, and known to be zeroes. */
const [FREE, ZERO] = [0xffff_ffff, 0xffff_fffe];
/** Bytes of the table that are made or looked at in one go. */
const PIECE = 1 << 20;

/** VirtualBox's disk images: one table, and blocks that are appended. */
export const vdi = defineFormat({
  name: 'vdi',
  open: openVdi,
  options: {
    static: { type: 'boolean', default: 'false', help: 'VDI static (pre-allocated) image' },
  },
  create: (file, size, { static: isStatic }) => createVdi(file, size, isStatic),
});

async function openVdi(below: BlockDevice, { readOnly, checking }: OpenImage): Promise<Image> {
  const file = new ImageFile(below);
  const header = parseVdi(await file.bytes(0, VDI_HEADER));
  const map = new VdiMap(file, header);
  const writable = file.writable && !readOnly;
  if (writable) {
    checkPlaces(header);
    if (!checking) await map.findEnd();
  }
  const device = mappedDevice({
    mapping: map,
    data: file,
    allocation: writable ? map : undefined,
    preferred: header.block,
    close: async () => {
      try {
        if (writable) await map.close();
      } finally {
        await file.close();
      }
    },
  });
  return {
    format: 'vdi',
    device,
    facts: { clusterSize: header.block },
    find: (offset, length) => map.find(offset, length),
    // Blocks are counted before anything leads to them.
    check: repair => (repair && writable ? map.repair(repair) : map.look()),
  };
}

class VdiMap extends BlockMap {
  readonly #header: VdiHeader;
  /** How many blocks have room, as the header says. */
  told: number;
  #allocated: number;

  constructor(file: ImageFile, header: VdiHeader) {
    super({ file, size: header.size, block: header.block, entryBytes: 4 });
    this.#header = header;
    // Its blocks are counted, and others append by that count: none may be missing among them.
    this.knowsZero(undefined);
    this.#allocated = this.told = header.allocated;
  }

  /** Where new blocks go: behind all others, whatever the header says of how many there are. */
  async findEnd(): Promise<void> {
    const end = await this.#last();
    const { dataAt, block } = this.#header;
    if (end >= 0 && dataAt + end * block >= Number(this.file.device.size)) {
      throw new BlockError('EIO', `vdi: block ${end} lies beyond the end of the file`);
    }
    this.file.end = dataAt + (end + 1) * block;
  }

  /** The last block that has room; -1: none. */
  async #last(): Promise<number> {
    let end = -1;
    for await (const entries of this.#pieces()) {
      for (const entry of entries) if (entry < ZERO && entry > end) end = entry;
    }
    return end;
  }

  /** Looks at all entries, and how many they are. */
  look(): Promise<CheckReport> {
    return this.check(allocated => this.told - allocated);
  }

  /** As `look`; the count is what it should be, and with `all` entries that lead nowhere are free. */
  async repair(what: 'leaks' | 'all'): Promise<CheckReport> {
    const free = (slice: Buffer, at: number) => void slice.writeUInt32LE(FREE, at);
    let isFirst = true;
    return this.mended(what === 'all' ? free : () => {}, async () => {
      if (!isFirst) {
        this.#allocated = (await this.#last()) + 1;
        await this.flush();
      }
      isFirst = false;
      return this.look();
    });
  }

  async *#pieces(): AsyncGenerator<Uint32Array> {
    const { tableAt, blocks } = this.#header;
    for (let at = 0; at < blocks * 4; at += PIECE) {
      const bytes = await this.file.bytes(tableAt + at, Math.min(PIECE, blocks * 4 - at));
      yield Uint32Array.from({ length: bytes.length / 4 }, (_, n) => bytes.readUInt32LE(n * 4));
    }
  }

  protected entryAt(index: number): number {
    return this.#header.tableAt + index * 4;
  }

  protected parse(bytes: Buffer, at: number): BlockEntry {
    const entry = bytes.readUInt32LE(at);
    if (entry === FREE) return { kind: 'absent', at: 0 };
    if (entry === ZERO) return { kind: 'zero', at: 0 };
    return { kind: 'data', at: this.#header.dataAt + entry * this.#header.block };
  }

  protected put(bytes: Buffer, at: number, place: number): void {
    bytes.writeUInt32LE((place - this.#header.dataAt) / this.#header.block, at);
  }

  protected take(most: number): { at: number; count: number } {
    const at = this.file.end;
    if ((at - this.#header.dataAt) / this.#header.block + most >= ZERO) {
      throw new BlockError('ENOSPC', 'vdi: the image has no room for more blocks');
    }
    this.file.end += most * this.#header.block;
    this.#allocated += most;
    return { at, count: most };
  }

  protected override async settle(): Promise<void> {
    if (this.#allocated === this.told) return;
    const count = Buffer.alloc(4);
    count.writeUInt32LE(this.#allocated);
    this.told = this.#allocated;
    await this.file.write(BigInt(ALLOCATED_AT), count);
  }
}

async function createVdi(below: BlockDevice, size: bigint, isStatic: boolean): Promise<void> {
  const header = newVdi(size, isStatic);
  const file = await newFile(below);
  await file.write(0n, vdiBytes(header));
  for (let first = 0; first < header.blocks; first += PIECE / 4) {
    const table = Buffer.alloc(Math.min(PIECE, (header.dataAt - header.tableAt - first * 4) >>> 0));
    for (let at = 0; at < table.length; at += 4) {
      const index = first + at / 4;
      if (index >= header.blocks) break;
      table.writeUInt32LE(isStatic ? index : FREE, at);
    }
    await file.write(BigInt(header.tableAt + first * 4), table);
  }
  await file.zero(header.dataAt, header.allocated * header.block);
  await file.trimEnd();
  await file.flush();
}
