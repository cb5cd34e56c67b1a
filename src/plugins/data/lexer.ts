import { MAX_SIZE } from '../../block/device.ts';
import { decodeBase64 } from './base64.ts';
import { faultAt, type Source } from './source.ts';
import { readString } from './string-literal.ts';

export type Token =
  | { readonly kind: 'bytes'; readonly bytes: Buffer }
  | { readonly kind: 'seek'; readonly how: '' | '+' | '-' | '^'; readonly value: bigint }
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'script'; readonly code: string }
  | { readonly kind: 'repeat'; readonly count: bigint }
  | { readonly kind: 'slice'; readonly start: bigint; readonly end: bigint | undefined }
  | { readonly kind: 'assign'; readonly name: string }
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'variable'; readonly name: string }
  | { readonly kind: 'open' }
  | { readonly kind: 'close' }
  | { readonly kind: 'end' };

const BLANK = /(?:\s+|#[^\n]*)*/y;
const NUMBER = /\+?(0x[\da-f]*|\d+)/iy;
const SUFFIX = /[bskmgtpe](?![\dA-Za-z_])/iy;
const WORD_CHARACTER = /[\dA-Za-z_]/y;
const SEEK = /@([-+^]?)/y;
const WORD = /([lb]e)(\d+):/y;
const BASE64 = /base64:([A-Za-z\d+/=]*)/y;
const FILE = /<([^\s*[)]+)/y;
const NAME = /\\([\w-]+)/y;
const ASSIGN = /->\s*(?:\\([\w-]+))?/y;
const VARIABLE = /\$([A-Za-z_]\w*)/y;

const BYTES = Buffer.from(Uint8Array.from({ length: 256 }, (_, byte) => byte));
const UNITS = 'kmgtpe';

/** Cuts a text into tokens, one `next` at a time. */
export class Lexer {
  readonly source: Source;
  /** Where the token that `next` gave last begins. */
  start = 0;
  private at = 0;

  constructor(source: Source) {
    this.source = source;
  }

  /** @throws UsageError with the place. */
  next(): Token {
    this.match(BLANK);
    this.start = this.at;
    if (this.at === this.source.text.length) return { kind: 'end' };
    switch (this.source.text[this.at]) {
      case '(':
        this.at += 1;
        return { kind: 'open' };
      case ')':
        this.at += 1;
        return { kind: 'close' };
      case '@':
        return this.seek();
      case '*':
        this.at += 1;
        return { kind: 'repeat', count: this.number('*N needs a number of times', true) };
      case '[':
        return this.slice();
      case '<':
        return this.source.text[this.at + 1] === '(' ? this.script() : this.file();
      case '"': {
        const { bytes, end } = readString(this.source, this.at);
        this.at = end;
        return { kind: 'bytes', bytes };
      }
      case '\\':
        return { kind: 'name', name: this.need(NAME, '\\ needs a name, as in \\sector')[1]! };
      case '$':
        return { kind: 'variable', name: this.need(VARIABLE, '$ needs a name, as in $VAR')[1]! };
      case '-':
        return this.assign();
      default:
        return { kind: 'bytes', bytes: this.constant() };
    }
  }

  private match(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = this.at;
    const match = pattern.exec(this.source.text);
    if (match) this.at = pattern.lastIndex;
    return match ?? undefined;
  }

  private need(pattern: RegExp, message: string): RegExpExecArray {
    return this.match(pattern) ?? this.fail(message);
  }

  private fail(message: string, at = this.start): never {
    throw faultAt({ source: this.source, at }, message);
  }

  /** A number from the place reached; with `suffixes` also 4k, 1M and so on. */
  private number(missing: string, suffixes: boolean): bigint {
    if (suffixes) this.match(BLANK);
    const at = this.at;
    const [, digits] = this.match(NUMBER) ?? this.fail(missing, at);
    if (!/^(0x[\da-f]+|0[0-7]*|[1-9]\d*)$/i.test(digits!)) {
      this.fail(`cannot parse the number '${digits}': expected 10, 012 (octal) or 0xa`, at);
    }
    const octal = /^0\d/.test(digits!);
    const value = BigInt(octal ? `0o${digits!.slice(1)}` : digits!) * this.unit(suffixes);
    if (this.match(WORD_CHARACTER)) {
      this.fail(`unexpected '${this.source.text[this.at - 1]}' after a number`, this.at - 1);
    }
    if (suffixes && value > MAX_SIZE) this.fail('too large: the largest number is 2^63-1', at);
    return value;
  }

  private unit(suffixes: boolean): bigint {
    const suffix = suffixes ? this.match(SUFFIX)?.[0].toLowerCase() : undefined;
    if (suffix === 's') return 512n;
    return 1n << (10n * BigInt(suffix === undefined ? 0 : UNITS.indexOf(suffix) + 1));
  }

  private seek(): Token {
    const how = this.need(SEEK, '')[1] as '' | '+' | '-' | '^';
    if (how === '' && /\s/.test(this.source.text[this.at] ?? ' ')) {
      this.fail('@ needs an offset, as in @0x200, @+16, @-2 or @^512');
    }
    const value = this.number(`@${how} needs a number, as in @${how}512`, true);
    if (how === '^' && (value === 0n || (value & (value - 1n)) !== 0n)) {
      this.fail('the alignment of @^N must be a power of 2');
    }
    return { kind: 'seek', how, value };
  }

  private slice(): Token {
    const form = 'expected a slice such as [N:M], [N:] or [:M]';
    this.at += 1;
    this.match(BLANK);
    const start = this.source.text[this.at] === ':' ? 0n : this.number(form, true);
    this.need(/\s*:\s*/y, form);
    const end = this.source.text[this.at] === ']' ? undefined : this.number(form, true);
    this.need(/\s*\]/y, form);
    if (end !== undefined && end < start) this.fail(`the slice ends before it starts: ${form}`);
    return { kind: 'slice', start, end };
  }

  private file(): Token {
    return { kind: 'file', path: this.need(FILE, '< needs a file, as in <FILE')[1]! };
  }

  /** The script ends at the parenthesis that matches; quotes in it do not count. */
  private script(): Token {
    const parenthesis = /[()]/g;
    parenthesis.lastIndex = this.at + 1;
    let depth = 0;
    for (;;) {
      const match = parenthesis.exec(this.source.text);
      if (!match) this.fail("unmatched '(': <(SCRIPT) needs its ')'");
      depth += match[0] === '(' ? 1 : -1;
      if (depth > 0) continue;
      const code = this.source.text.slice(this.at + 2, match.index);
      this.at = match.index + 1;
      return { kind: 'script', code };
    }
  }

  private assign(): Token {
    const name = this.need(ASSIGN, "unexpected '-'")[1];
    if (name === undefined) this.fail('-> needs a name, as in -> \\sector');
    return { kind: 'assign', name };
  }

  /** A byte, a word or base64. */
  private constant(): Buffer {
    const text = this.match(BASE64)?.[1];
    if (text !== undefined) return decodeBase64(text) ?? this.fail('not base64');
    const word = this.match(WORD);
    if (word) return this.word(word[1] === 'le', Number(word[2]));
    const character = String.fromCodePoint(this.source.text.codePointAt(this.at)!);
    if (!/\d/.test(character)) this.fail(`unexpected '${character}'`);
    const value = this.number('', false);
    if (value > 255n) this.fail(`a byte must be 0 to 255; larger numbers are le16: to be64:`);
    return BYTES.subarray(Number(value), Number(value) + 1);
  }

  private word(little: boolean, bits: number): Buffer {
    if (bits !== 16 && bits !== 32 && bits !== 64) {
      this.fail('expected le16:, le32:, le64:, be16:, be32: or be64:');
    }
    const value = this.number('expected a number after the colon', false);
    if (value >> BigInt(bits) !== 0n) this.fail(`the number does not fit in ${bits} bits`);
    const bytes = Buffer.alloc(8);
    if (little) bytes.writeBigUInt64LE(value);
    else bytes.writeBigUInt64BE(value);
    return little ? bytes.subarray(0, bits / 8) : bytes.subarray(8 - bits / 8);
  }
}
