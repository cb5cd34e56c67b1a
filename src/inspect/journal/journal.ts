import type { BlockDevice } from '../../block/device.ts';
import { damaged, unsupported } from '../../formats/fs/damaged.ts';
import { type Compression, decompress } from '../../formats/fs/decompress.ts';
import { Pages } from '../../formats/fs/pages.ts';

/** An entry of systemd's journal. */
export interface JournalEntry {
  /** Microseconds since 1970. */
  readonly time: bigint;
  /** By the names of its fields: MESSAGE, PRIORITY; the first where there are several. */
  readonly fields: ReadonlyMap<string, Buffer>;
}

const SIGNATURE = 'LPKSHHRH';
const HEADER = 208;
/** Bits of features: how data is compressed, keyed hashes, offsets of 32 bits. */
const COMPACT = 16;
const KNOWN = 1 | 2 | 4 | 8 | COMPACT;
const OBJECT = 16;
const DATA = 1;
const ENTRY = 3;
const ENTRY_ARRAY = 6;
const COMPRESSIONS: Readonly<Record<number, Compression>> = { 1: 'xz', 2: 'lz4', 4: 'zstd' };
/** Bytes of a field of the journal, and fields of an entry, as journald limits them. */
const LONGEST_FIELD = 768 << 20;
const LONGEST_READ = 1 << 20;
const MOST_FIELDS = 1024;
/** Data that entries share, such as the name of a program: so long, and so many of them are kept. */
const SHARED_LENGTH = 256;
const MOST_SHARED = 1 << 16;
const EQUALS = 0x3d;

interface Object {
  readonly type: number;
  readonly flags: number;
  readonly size: number;
}

interface Field {
  readonly name: string;
  readonly value: Buffer;
}

/**
 * The entries of a file of systemd's journal, in its order (Journal File Format, systemd.io). Fields of
 * more than a megabyte are cut.
 * @throws BlockError EIO damaged; ENOTSUP of a kind that is not known.
 */
export async function* journalEntries(file: BlockDevice): AsyncGenerator<JournalEntry> {
  const reader = new Reader(file);
  for await (const offset of reader.entryOffsets()) yield await reader.entry(offset);
}

class Reader {
  readonly #pages: Pages;
  readonly #shared = new Map<number, Field>();
  #compact = false;

  constructor(file: BlockDevice) {
    this.#pages = new Pages(file);
  }

  /** Where entries are. Arrays of them are made as they are needed, each behind the one before. */
  async *entryOffsets(): AsyncGenerator<number> {
    const header = await this.#bytes('header', 0, HEADER);
    if (header.toString('latin1', 0, 8) !== SIGNATURE) throw bad('header', 'it is none');
    const features = header.readUInt32LE(12);
    if (features & ~KNOWN) throw unsupported('journal', `feature ${features & ~KNOWN}`);
    this.#compact = (features & COMPACT) !== 0;
    let left = offsetAt(header, 152);
    for (let at = offsetAt(header, 176), before = 0; at !== 0 && left > 0; ) {
      if (at <= before) throw bad('entry array', `one is at ${at}, behind ${before}`);
      const { bytes, width } = await this.#array(at);
      for (let place = OBJECT + 8; place + width <= bytes.length && left > 0; place += width) {
        const offset = width === 4 ? bytes.readUInt32LE(place) : offsetAt(bytes, place);
        // Room that is not used yet.
        if (offset === 0) return;
        left -= 1;
        yield offset;
      }
      before = at;
      at = offsetAt(bytes, OBJECT);
    }
  }

  async #array(at: number): Promise<{ bytes: Buffer; width: number }> {
    const { size } = await this.#object('entry array', at, ENTRY_ARRAY, OBJECT + 8);
    // The cache may be another by the time that its entries are looked at.
    const bytes = Buffer.from(await this.#bytes('entry array', at, size));
    return { bytes, width: this.#compact ? 4 : 8 };
  }

  async entry(at: number): Promise<JournalEntry> {
    const { size } = await this.#object('entry', at, ENTRY, 64);
    const width = this.#compact ? 4 : 16;
    const count = Math.floor((size - 64) / width);
    if (count > MOST_FIELDS) throw bad('entry', `one has ${count} fields`);
    const bytes = Buffer.from(await this.#bytes('entry', at, 64 + count * width));
    const fields = new Map<string, Buffer>();
    for (let place = 64; place < bytes.length; place += width) {
      const offset = this.#compact ? bytes.readUInt32LE(place) : offsetAt(bytes, place);
      const { name, value } = this.#shared.get(offset) ?? (await this.#field(offset));
      if (!fields.has(name)) fields.set(name, value);
    }
    return { time: bytes.readBigUInt64LE(24), fields };
  }

  async #field(at: number): Promise<Field> {
    const start = this.#compact ? 72 : 64;
    const { size, flags } = await this.#object('data', at, DATA, start);
    const length = size - start;
    const compression = COMPRESSIONS[flags];
    if (flags !== 0 && !compression) throw unsupported('journal', `compression ${flags}`);
    if (compression && length > LONGEST_READ) throw bad('data', `it has ${length} bytes`);
    const stored = await this.#bytes('data', at + start, Math.min(length, LONGEST_READ));
    const bytes = compression ? await expanded(compression, stored) : Buffer.from(stored);
    const equals = bytes.indexOf(EQUALS);
    if (equals < 0) throw bad('data', 'it has no name');
    const field = {
      name: bytes.toString('latin1', 0, equals),
      value: bytes.subarray(equals + 1),
    };
    if (bytes.length <= SHARED_LENGTH) {
      if (this.#shared.size >= MOST_SHARED) this.#shared.clear();
      this.#shared.set(at, field);
    }
    return field;
  }

  async #object(what: string, at: number, type: number, least: number): Promise<Object> {
    const header = await this.#bytes(what, at, OBJECT);
    const size = offsetAt(header, 8);
    if (header[0] !== type) throw bad(what, `at ${at} is an object of type ${header[0]}`);
    if (size < least || at + size > this.#pages.size) throw bad(what, `it has ${size} bytes`);
    return { type, flags: header[1]!, size };
  }

  #bytes(what: string, at: number, length: number): Buffer | PromiseLike<Buffer> {
    return this.#pages.structure(`journal: ${what}`, at, length);
  }
}

/** LZ4 has the length in front of it. */
async function expanded(kind: Compression, stored: Buffer): Promise<Buffer> {
  if (kind !== 'lz4') return decompress('journal: data', kind, stored, LONGEST_READ);
  const length = stored.length < 8 ? LONGEST_FIELD : offsetAt(stored, 0);
  if (length > LONGEST_READ) throw bad('data', `${length} bytes come of it`);
  return decompress('journal: data', kind, stored.subarray(8), length);
}

/** @throws BlockError EIO it is past 2^53. */
function offsetAt(bytes: Buffer, at: number): number {
  const offset = Number(bytes.readBigUInt64LE(at));
  if (Number.isSafeInteger(offset)) return offset;
  throw bad('object', `a place or a length is ${offset}`);
}

const bad = (what: string, why: string) => damaged(`journal: ${what}`, why);
