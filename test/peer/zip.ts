/** Zip archives made byte by byte. */
import { crc32 } from 'node:zlib';

export interface ZipFile {
  readonly name: string;
  readonly bytes?: Buffer;
  /** 0: as it is; else `packed` is what is stored. */
  readonly method?: number;
  readonly packed?: Buffer;
  readonly flags?: number;
  readonly crc?: number;
  /** Where the directory says that it is. */
  readonly at?: number;
}

export interface ZipOptions {
  readonly comment?: string;
  /** All numbers are of 64 bits. */
  readonly long?: boolean;
}

const ALL_ONES = 0xffffffff;

/** Numbers of so many bytes each. */
function fields(...pairs: readonly (readonly [value: number, bytes: number])[]): Buffer {
  return Buffer.concat(
    pairs.map(([value, length]) => {
      const bytes = Buffer.alloc(8);
      bytes.writeBigUInt64LE(BigInt(value));
      return bytes.subarray(0, length);
    }),
  );
}

export function zipArchive(
  files: readonly ZipFile[],
  { comment = '', long }: ZipOptions = {},
): Buffer {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let place = 0;
  for (const file of files) {
    const { name, bytes = Buffer.alloc(0), method = 0, packed = bytes, flags = 0 } = file;
    const { crc = crc32(bytes), at = place } = file;
    const start = [
      [20, 2],
      [flags, 2],
      [method, 2],
      [0, 4],
      [crc, 4],
    ] as const;
    const sizes = [
      [packed.length, 4],
      [bytes.length, 4],
      [name.length, 2],
    ] as const;
    const local = [fields([0x04034b50, 4], ...start, ...sizes, [0, 2]), Buffer.from(name), packed];
    parts.push(...local);
    place += local.reduce((sum, part) => sum + part.length, 0);
    const extra = long
      ? fields([1, 2], [24, 2], [bytes.length, 8], [packed.length, 8], [at, 8])
      : Buffer.alloc(0);
    const shown = (value: number) => (long ? ALL_ONES : value);
    directory.push(
      fields([0x02014b50, 4], [20, 2], ...start),
      fields([shown(packed.length), 4], [shown(bytes.length), 4], [name.length, 2]),
      fields([extra.length, 2], [0, 2], [0, 2], [0, 2], [0, 4], [shown(at), 4]),
      ...[Buffer.from(name), extra],
    );
  }
  const table = Buffer.concat(directory);
  const longEnd = fields(
    ...([
      [0x06064b50, 4],
      [44, 8],
      [45, 2],
      [45, 2],
      [0, 4],
      [0, 4],
    ] as const),
    ...([
      [files.length, 8],
      [files.length, 8],
      [table.length, 8],
      [place, 8],
    ] as const),
    ...([
      [0x07064b50, 4],
      [0, 4],
      [place + table.length, 8],
      [1, 4],
    ] as const),
  );
  const end = fields(
    ...([
      [0x06054b50, 4],
      [0, 2],
      [0, 2],
      [files.length, 2],
      [files.length, 2],
    ] as const),
    ...([
      [table.length, 4],
      [long ? ALL_ONES : place, 4],
      [comment.length, 2],
    ] as const),
  );
  const ends = [...(long ? [longEnd] : []), end, Buffer.from(comment, 'latin1')];
  return Buffer.concat([...parts, table, ...ends]);
}
