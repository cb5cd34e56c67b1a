import { type Part, scanUnit } from './scan.ts';

const COLUMNS = 78;
const STRING_LENGTH = 60;
/** Longer runs that are not text are written in base64, which C nbdkit reads from 1.46 on. */
const LONG = 256;
const PACKED_LENGTH = 51;
const TEXT = /([\n\t\x20-\x7e]{4,})/;

/** Writes parts of a disk, in order, as lines of the data language. */
export class ExpressionWriter {
  private readonly emit: (line: string) => void;
  private line = '';
  /** Where the text written so far leaves off, and where the next part goes. */
  private written = 0n;
  private offset = 0n;
  /** A repeat that may go on. */
  private repeat: { unit: Buffer; count: bigint } | undefined;

  constructor(emit: (line: string) => void) {
    this.emit = emit;
  }

  add(part: Part): void {
    if (part.kind === 'zeroes') {
      this.skip(BigInt(part.length));
    } else if (part.kind === 'repeat') {
      this.addRepeat(part.unit, BigInt(part.count));
    } else {
      this.place(BigInt(part.bytes.length));
      this.words(isPacked(part.bytes) ? packed(part.bytes) : literals(part.bytes));
    }
  }

  /** Zeroes, which need no words. */
  skip(length: bigint): void {
    this.offset += length;
  }

  /** Ends the text: the disk has this size. */
  finish(): void {
    this.place(0n);
    this.endLine();
  }

  private addRepeat(unit: Buffer, count: bigint): void {
    const length = count * BigInt(unit.length);
    if (this.repeat && this.written === this.offset && this.repeat.unit.equals(unit)) {
      this.repeat.count += count;
      this.written += length;
      this.offset += length;
      return;
    }
    this.place(length);
    this.repeat = { unit: Buffer.from(unit), count };
  }

  /** Goes to where the next part belongs, which covers `length` bytes. */
  private place(length: bigint): void {
    this.endRepeat();
    if (this.offset !== this.written) {
      this.endLine();
      this.words([`@0x${this.offset.toString(16)}`]);
    }
    this.offset += length;
    this.written = this.offset;
  }

  private endRepeat(): void {
    if (!this.repeat) return;
    const { unit, count } = this.repeat;
    this.repeat = undefined;
    if (unit.length === 1) {
      this.words([`${unit[0]}*${count}`]);
      return;
    }
    const words = scanUnit(unit).flatMap(part =>
      part.kind === 'repeat' ? [`${part.unit[0]}*${part.count}`] : unitLiterals(part),
    );
    this.words(['(', ...words, `)*${count}`]);
  }

  private words(words: readonly string[]): void {
    for (const word of words) {
      if (this.line.length + 1 + word.length > COLUMNS) this.endLine();
      this.line += this.line === '' ? word : ` ${word}`;
    }
  }

  private endLine(): void {
    if (this.line !== '') this.emit(`${this.line}\n`);
    this.line = '';
  }
}

function unitLiterals(part: Part): string[] {
  return part.kind === 'bytes' ? literals(part.bytes) : [];
}

function isPacked(bytes: Buffer): boolean {
  if (bytes.length <= LONG) return false;
  const text = bytes.toString('latin1').replace(/[^\n\t\x20-\x7e]+/g, '');
  return text.length < 0.9 * bytes.length;
}

function packed(bytes: Buffer): string[] {
  const words: string[] = [];
  for (let at = 0; at < bytes.length; at += PACKED_LENGTH) {
    words.push(`base64:${bytes.toString('base64', at, at + PACKED_LENGTH)}`);
  }
  return words;
}

/** Text as strings, all else as numbers. */
function literals(bytes: Buffer): string[] {
  return bytes
    .toString('latin1')
    .split(TEXT)
    .flatMap((part, index) => (index % 2 ? strings(part) : numbers(part)));
}

function numbers(text: string): string[] {
  return Array.from(text, character => String(character.charCodeAt(0)));
}

function strings(text: string): string[] {
  const parts: string[] = [];
  for (let at = 0; at < text.length; at += STRING_LENGTH) {
    const escaped = text
      .slice(at, at + STRING_LENGTH)
      .replace(/["\\]/g, '\\$&')
      .replace(/\n/g, '\\n')
      .replace(/\t/g, '\\t');
    parts.push(`"${escaped}"`);
  }
  return parts;
}
