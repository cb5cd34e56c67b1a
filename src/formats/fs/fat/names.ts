/** The upper half of code page 437, in which short names are. */
const CODE_PAGE =
  'ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u00a0';

export function codePageText(bytes: Buffer): string {
  let text = '';
  for (const byte of bytes) {
    if (byte === 0) break;
    text += byte < 0x80 ? String.fromCharCode(byte) : CODE_PAGE[byte - 0x80];
  }
  return text;
}

const LOWER = { base: 0x08, extension: 0x10 } as const;
/** A first byte of 0xe5 would say that the entry is free. */
const KANJI = { stored: 0x05, meant: 0xe5 } as const;

/** The short name of an entry, with the case that Windows NT notes. */
export function shortName(entry: Buffer): string {
  const bytes = Buffer.from(entry.subarray(0, 11));
  if (bytes[0] === KANJI.stored) bytes[0] = KANJI.meant;
  const cased = (text: string, bit: number) => (entry[12]! & bit ? text.toLowerCase() : text);
  const base = cased(codePageText(bytes.subarray(0, 8)).trimEnd(), LOWER.base);
  const extension = cased(codePageText(bytes.subarray(8)).trimEnd(), LOWER.extension);
  return extension === '' ? base : `${base}.${extension}`;
}

/** Where in an entry the 13 UTF-16 units of a piece of a long name stand. */
const UNITS = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30];
const LAST = 0x40;
const MOST_PIECES = 20;

/** Collects the pieces of a long name, which stand before their entry, the last first. */
export class LongName {
  #text = '';
  #sum = -1;
  #next = 0;

  add(entry: Buffer): void {
    const order = entry[0]!;
    const number = order & ~LAST;
    if (order & LAST && number <= MOST_PIECES) {
      this.#text = '';
      this.#sum = entry[13]!;
      this.#next = number;
    }
    if (number === 0 || number !== this.#next || entry[13] !== this.#sum) {
      this.forget();
      return;
    }
    const units = UNITS.map(at => entry.readUInt16LE(at));
    const end = units.indexOf(0);
    const used = end < 0 ? units : units.slice(0, end);
    this.#text = String.fromCharCode(...used) + this.#text;
    this.#next -= 1;
  }

  forget(): void {
    this.#sum = -1;
    this.#next = 0;
  }

  /** The name, if it is complete and belongs to the entry. */
  take(entry: Buffer): string | undefined {
    const fits = this.#next === 0 && this.#sum === checksum(entry.subarray(0, 11));
    const text = this.#text;
    this.forget();
    return fits && text !== '' ? text : undefined;
  }
}

function checksum(short: Buffer): number {
  return short.reduce((sum, byte) => (((sum & 1) << 7) + (sum >> 1) + byte) & 0xff, 0);
}
