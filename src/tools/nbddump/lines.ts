import { type Colour, ink, RESTORE } from '../colours.ts';

/** Bytes of a line. */
export const LINE = 16;

/** The text of a dump, as it grows. It is bytes, as strings of so many small parts are slow. */
export class Text {
  #bytes = Buffer.allocUnsafeSlow(1 << 16);
  #length = 0;

  /** What there is, valid until more is added. */
  take(): Uint8Array {
    const text = this.#bytes.subarray(0, this.#length);
    this.#length = 0;
    return text;
  }

  add(part: Uint8Array): void {
    const { length } = part;
    while (this.#length + length > this.#bytes.length) this.#grow();
    // Of few bytes a copy is quicker than a call that copies.
    for (let at = 0; at < length; at++) this.#bytes[this.#length + at] = part[at]!;
    this.#length += length;
  }

  #grow(): void {
    const larger = Buffer.allocUnsafeSlow(2 * this.#bytes.length);
    larger.set(this.#bytes);
    this.#bytes = larger;
  }
}

/** What lines of a hex dump look like. */
export interface Look {
  /** Adds what stands for lines that are as the one before them. */
  repeat(text: Text): void;
  /** Adds a line of at most 16 bytes, which are at `offset` on the disk. */
  line(text: Text, offset: bigint, bytes: Uint8Array): void;
}

/** Lines as the C nbddump prints them, to the byte. */
export function lookOf(coloured: boolean): Look {
  const inked = (colour: Colour, text: string) => Buffer.from(coloured ? ink(colour) + text : text);
  const bar = coloured ? '│' : '|';
  const dot = coloured ? '·' : '.';
  const repeated = Buffer.from(coloured ? '☆\n' : '*\n');
  const bytes = Array.from({ length: 256 }, (_, byte) => byte);
  const codes = bytes.map(byte => {
    return inked(byte === 0 ? 'dim' : 'bright', `${byte.toString(16).padStart(2, '0')} `);
  });
  const characters = bytes.map(byte => {
    const character = String.fromCharCode(byte);
    if (/[A-Za-z\d]/.test(character)) return inked('letter', character);
    return /[ -~]/.test(character) ? inked('sign', character) : inked('dim', dot);
  });
  const space = Buffer.from(' ');
  const colon = inked('dim', ': ');
  const between = bytes.slice(0, LINE + 1).map(count => {
    const missing = ' '.repeat(3 * (LINE - count) + (count < 8 ? 1 : 0));
    return inked('dim', missing + bar);
  });
  const end = bytes.slice(0, LINE + 1).map(count => {
    return inked('dim', `${' '.repeat(LINE - count)}${bar}\n${coloured ? RESTORE : ''}`);
  });
  return {
    repeat: text => text.add(repeated),
    line(text, offset, data) {
      text.add(inked('good', offset.toString(16).padStart(10, '0')));
      text.add(colon);
      for (let index = 0; index < data.length; index++) {
        text.add(codes[data[index]!]!);
        if (index === 7) text.add(space);
      }
      text.add(between[data.length]!);
      for (let index = 0; index < data.length; index++) text.add(characters[data[index]!]!);
      text.add(end[data.length]!);
    },
  };
}
