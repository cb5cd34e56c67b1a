/** Physical volumes of LVM2 as pvcreate and vgcreate leave them: a MiB of metadata, then extents. */
import { crc32 } from 'node:zlib';

/** Bytes: where extents begin, and how long each is. */
export const EXTENTS = 1 << 20;
export const EXTENT = 64 << 10;

const SEED = 0xf597a6cf;
const AREA = { offset: 4096, size: EXTENTS - 4096 };

const sum = (bytes: Buffer) => ~crc32(bytes, ~SEED >>> 0) >>> 0;

/** The start of a physical volume with that id (32 characters) and description. */
export function physicalVolume(id: string, text: string, size: number): Buffer {
  const bytes = Buffer.alloc(EXTENTS);
  const label = bytes.subarray(512, 1024);
  label.write('LABELONE', 'latin1');
  label.writeBigUInt64LE(1n, 8);
  label.writeUInt32LE(32, 20);
  label.write('LVM2 001', 24, 'latin1');
  label.write(id, 32, 'latin1');
  label.writeBigUInt64LE(BigInt(size), 64);
  label.writeBigUInt64LE(BigInt(EXTENTS), 72);
  label.writeBigUInt64LE(BigInt(AREA.offset), 104);
  label.writeBigUInt64LE(BigInt(AREA.size), 112);
  label.writeUInt32LE(sum(label.subarray(20)), 16);
  const header = bytes.subarray(AREA.offset, AREA.offset + 512);
  const content = Buffer.from(`${text}\0`);
  content.copy(bytes, AREA.offset + 512);
  header.write(' LVM2 x[5A%r0N*>', 4, 'latin1');
  header.writeUInt32LE(1, 20);
  header.writeBigUInt64LE(BigInt(AREA.offset), 24);
  header.writeBigUInt64LE(BigInt(AREA.size), 32);
  header.writeBigUInt64LE(512n, 40);
  header.writeBigUInt64LE(BigInt(content.length), 48);
  header.writeUInt32LE(sum(content), 56);
  header.writeUInt32LE(sum(header.subarray(4)), 0);
  return bytes;
}

export interface Segment {
  readonly extents: number;
  /** Pairs of a physical volume and the first extent there. */
  readonly stripes: readonly (readonly [volume: string, first: number])[];
  readonly type?: string;
}

/** The description of a group `vg` with extents of 64 KiB and stripes of 4 KiB. */
export function describe(
  ids: Readonly<Record<string, string>>,
  volumes: Readonly<Record<string, readonly Segment[]>>,
  seqno = 1,
): string {
  const physical = Object.entries(ids).map(
    ([name, id]) =>
      `${name} { id = "${id}" device = "/dev/x" pe_start = ${EXTENTS / 512} pe_count = 100 }`,
  );
  const logical = Object.entries(volumes).map(([name, segments]) => {
    let start = 0;
    const texts = segments.map(({ extents, stripes, type = 'striped' }, index) => {
      const list = stripes.map(([volume, first]) => `"${volume}", ${first}`).join(', ');
      const head = `start_extent = ${start} extent_count = ${extents} type = "${type}"`;
      start += extents;
      const body = `stripe_count = ${stripes.length} stripe_size = 8 stripes = [ ${list} ]`;
      return `segment${index + 1} { ${head} ${body} }`;
    });
    const head = `id = "${name}" status = ["READ", "WRITE", "VISIBLE"] segment_count = ${segments.length}`;
    return `${name} { ${head} ${texts.join('\n')} }`;
  });
  return `vg { # a comment
id = "group" seqno = ${seqno} format = "lvm2" extent_size = ${EXTENT / 512}
physical_volumes { ${physical.join('\n')} }
logical_volumes { ${logical.join('\n')} }
}
contents = "Text Format Volume Group" description = "with \\"quotes\\""
`;
}
