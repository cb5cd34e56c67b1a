/** Tar archives made byte by byte. */
const SECTOR = 512;

export interface TarFile {
  readonly name: string;
  readonly bytes?: Buffer;
  readonly type?: string;
  /** What stands in the field of the size; that of `bytes` unless given. */
  readonly size?: string | Buffer;
  readonly prefix?: string;
  /** More fields of the header: place and bytes. */
  readonly more?: readonly (readonly [at: number, bytes: Buffer | string])[];
}

export function octal(value: number): string {
  return value.toString(8).padStart(11, '0');
}

/** A header and the bytes that follow it, in whole sectors. */
export function tarFile({ name, bytes = Buffer.alloc(0), type = '0', ...rest }: TarFile): Buffer {
  const header = Buffer.alloc(SECTOR);
  header.write(name, 0);
  const size = rest.size ?? octal(bytes.length);
  if (typeof size === 'string') header.write(size, 124, 'latin1');
  else size.copy(header, 124);
  header.write(type, 156);
  header.write('ustar\x0000', 257, 'latin1');
  header.write(rest.prefix ?? '', 345);
  for (const [at, field] of rest.more ?? [])
    Buffer.from(field as string, 'latin1').copy(header, at);
  header.fill(' ', 148, 156);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  const padding = Buffer.alloc((SECTOR - (bytes.length % SECTOR)) % SECTOR);
  return Buffer.concat([header, bytes, padding]);
}

/** Fields about the next file. */
export function paxHeader(fields: readonly (readonly [key: string, value: string])[]): Buffer {
  const records = fields.map(([key, value]) => {
    const rest = Buffer.byteLength(` ${key}=${value}\n`);
    const short = rest + String(rest).length;
    const length = rest + String(short).length;
    return `${length} ${key}=${value}\n`;
  });
  return tarFile({ name: 'PaxHeaders/x', type: 'x', bytes: Buffer.from(records.join('')) });
}

export function tarArchive(...parts: readonly Buffer[]): Buffer {
  return Buffer.concat([...parts, Buffer.alloc(2 * SECTOR)]);
}
