import { isUtf8 } from 'node:buffer';

/** A byte that is no UTF-8 becomes a lone low surrogate, so that no name is lost or like another. */
const ESCAPE = 0xdc00;
const SURROGATES = 0xd800;
const ESCAPED = /[\udc80-\udcff]/;

/** The text of a name that is bytes: UTF-8, or what `bytesOf` makes the same bytes of. */
export function nameOf(bytes: Buffer): string {
  if (isUtf8(bytes)) return bytes.toString('utf8');
  let text = '';
  for (let at = 0; at < bytes.length; ) {
    const length = characterAt(bytes, at);
    text += length > 0 ? bytes.toString('utf8', at, at + length) : escaped(bytes[at]!);
    at += Math.max(1, length);
  }
  return text;
}

const escaped = (byte: number) => String.fromCharCode(ESCAPE + byte);

/** Bytes of the character at a place; 0 where there is none. */
function characterAt(bytes: Buffer, at: number): number {
  for (let length = 1; length <= 4 && at + length <= bytes.length; length++) {
    if (isUtf8(bytes.subarray(at, at + length))) return length;
  }
  return 0;
}

/** The bytes that a name was made of. */
export function bytesOf(name: string): Buffer {
  if (!ESCAPED.test(name)) return Buffer.from(name);
  return Buffer.concat(
    Array.from(name, character => {
      const unit = character.charCodeAt(0);
      const lone = character.length === 1 && unit >= ESCAPE + 0x80 && unit <= ESCAPE + 0xff;
      return lone ? Buffer.of(unit - ESCAPE) : Buffer.from(character);
    }),
  );
}

/** The order of bytes, as `LC_ALL=C sort` has it. */
export function compareNames(a: string, b: string): number {
  for (let at = 0; at < a.length && at < b.length; at++) {
    const [unit, other] = [a.charCodeAt(at), b.charCodeAt(at)];
    if (unit === other) continue;
    // Units of 16 bits are in the order of their bytes, but for surrogates.
    const surrogate = unit >= SURROGATES || other >= SURROGATES;
    return surrogate ? Buffer.compare(bytesOf(a), bytesOf(b)) : unit - other;
  }
  return a.length - b.length;
}
