/** Bytes of the header and of the footer of a stream. */
export const HEADER = 12;
export const HEADER_MAGIC = Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0]);
export const FOOTER_MAGIC = Buffer.from('YZ', 'latin1');
/** Bytes of the longest number. */
const LONGEST = 9;

/** Takes a number of seven bits a byte; undefined: there is none, or it is 2^53 or more. */
export function readVli(reader: { readonly bytes: Uint8Array; at: number }): number | undefined {
  let value = 0;
  for (let count = 0; count < LONGEST; count++) {
    const byte = reader.bytes[reader.at];
    if (byte === undefined || (byte === 0 && count > 0)) return undefined;
    reader.at += 1;
    value += (byte & 0x7f) * 2 ** (7 * count);
    if (byte < 0x80) return Number.isSafeInteger(value) ? value : undefined;
  }
  return undefined;
}

/** @param value from 0 to 2^53-1. */
export function writeVli(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) | 0x80);
  return [...bytes, rest];
}
