import { faultAt, type Source } from './source.ts';

const PLAIN = /[^"\\]*/y;
const ESCAPE = /\\(?:x([\dA-Fa-f]{2})|u([\dA-Fa-f]{4})|U([\dA-Fa-f]{8})|([0-7]{1,3})|([^xuU]))/suy;
const CONTROLS: Readonly<Record<string, string>> = {
  a: '\x07',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
};

/**
 * The bytes of a string in double quotes that starts at `at`: UTF-8, with the escapes of C.
 * @throws UsageError with the place.
 */
export function readString(source: Source, at: number): { bytes: Buffer; end: number } {
  const { text } = source;
  const parts: Buffer[] = [];
  let position = at + 1;
  for (;;) {
    PLAIN.lastIndex = position;
    const plain = PLAIN.exec(text)![0];
    position += plain.length;
    if (plain !== '') parts.push(Buffer.from(plain));
    if (text[position] === '"') return { bytes: Buffer.concat(parts), end: position + 1 };
    if (position >= text.length - 1) throw faultAt({ source, at }, 'the string has no closing "');
    ESCAPE.lastIndex = position;
    const escaped = ESCAPE.exec(text);
    const bytes = escaped && escapedBytes(escaped);
    if (!bytes) {
      const expected = 'expected \\n, \\xHH, \\uHHHH, \\UHHHHHHHH or an octal \\377';
      throw faultAt({ source, at: position }, `cannot parse the escape: ${expected}`);
    }
    parts.push(bytes);
    position = ESCAPE.lastIndex;
  }
}

function escapedBytes([, hex, short, long, octal, other]: RegExpExecArray): Buffer | undefined {
  if (hex) return Buffer.of(Number.parseInt(hex, 16));
  if (octal) {
    const value = Number.parseInt(octal, 8);
    return value > 255 ? undefined : Buffer.of(value);
  }
  if (other) return Buffer.from(CONTROLS[other] ?? other);
  const codePoint = Number.parseInt((short ?? long)!, 16);
  const surrogate = codePoint >= 0xd800 && codePoint < 0xe000;
  if (codePoint > 0x10ffff || surrogate) return undefined;
  return Buffer.from(String.fromCodePoint(codePoint));
}
