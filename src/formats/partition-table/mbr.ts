/** One of the four entries of an MBR or the two of an EBR. Places and sizes in sectors. */
export interface MbrEntry {
  readonly start: bigint;
  readonly sectors: bigint;
  /** The type byte; 0x83 is Linux. */
  readonly type: number;
  readonly bootable?: boolean;
}

/** Bytes; the only size of sector that is written. */
export const SECTOR = 512;
/** An extended partition in LBA terms. */
export const EXTENDED = 0x0f;
/** What protects a GPT from programs that do not know it. */
export const PROTECTIVE = 0xee;
/** The largest sector number or count that fits. */
export const MBR_LIMIT = 0xffffffffn;

const ENTRIES = 446;
const ENTRY = 16;
/** Cylinder, head and sector where they cannot say it: everything is found by LBA today. */
const BEYOND_CHS = [0xfe, 0xff, 0xff];

/** A sector with partition entries and the boot signature; no boot loader, disk signature 0. */
export function mbrSector(entries: readonly MbrEntry[]): Buffer {
  const sector = Buffer.alloc(SECTOR);
  for (const [index, { start, sectors, type, bootable }] of entries.entries()) {
    const at = ENTRIES + index * ENTRY;
    sector.set([bootable ? 0x80 : 0, ...BEYOND_CHS, type, ...BEYOND_CHS], at);
    sector.writeUInt32LE(Number(start), at + 8);
    sector.writeUInt32LE(Number(sectors), at + 12);
  }
  sector.writeUInt16LE(0xaa55, SECTOR - 2);
  return sector;
}

/** The four entries of a sector, empty ones among them. */
export function mbrEntries(sector: Buffer): MbrEntry[] {
  return [0, 1, 2, 3].map(index => {
    const at = ENTRIES + index * ENTRY;
    return {
      bootable: sector[at] === 0x80,
      type: sector[at + 4]!,
      start: BigInt(sector.readUInt32LE(at + 8)),
      sectors: BigInt(sector.readUInt32LE(at + 12)),
    };
  });
}
