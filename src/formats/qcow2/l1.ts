import type { ImageFile } from '../../images/image-file.ts';
import type { TakenTables } from '../../images/table-cache.ts';
import { COPIED, offsetAt, writeEntry } from './offsets.ts';

/** The first table of a mapping: where the second ones are. */
export class L1 {
  readonly offsets: Float64Array;
  /** Whether nothing else refers to the table. */
  readonly own: Uint8Array;
  readonly #changed = new Set<number>();
  at: number;

  static async read(file: ImageFile, at: number, entries: number): Promise<L1> {
    const bytes = await file.bytes(at, entries * 8);
    const l1 = new L1(at, entries);
    for (let index = 0; index < entries; index++) {
      l1.offsets[index] = offsetAt(bytes, index * 8);
      l1.own[index] = bytes.readUInt32BE(index * 8) & COPIED ? 1 : 0;
    }
    return l1;
  }

  constructor(at: number, entries: number) {
    this.at = at;
    this.offsets = new Float64Array(entries);
    this.own = new Uint8Array(entries);
  }

  get entries(): number {
    return this.offsets.length;
  }

  #tables: Set<number> | undefined;

  /** Whether an entry leads there. */
  leadsTo(offset: number): boolean {
    this.#tables ??= new Set(this.offsets.filter(each => each !== 0));
    return this.#tables.has(offset);
  }

  /** Leads to a table that is for this mapping alone. */
  set(index: number, offset: number): void {
    this.#tables?.delete(this.offsets[index]!);
    this.#tables?.add(offset);
    this.offsets[index] = offset;
    this.own[index] = 1;
    this.#changed.add(index);
  }

  /** Notes whether nothing else refers to a table. */
  mark(index: number, own: boolean): void {
    if ((this.own[index] === 1) === own) return;
    this.own[index] = own ? 1 : 0;
    this.#changed.add(index);
  }

  /** As it stands in the file. */
  bytes(): Buffer {
    const bytes = Buffer.alloc(this.entries * 8);
    for (let index = 0; index < this.entries; index++) this.#put(bytes, index * 8, index);
    return bytes;
  }

  #put(bytes: Buffer, at: number, index: number): void {
    writeEntry(bytes, at, this.offsets[index]!, this.own[index] === 1);
  }

  /** Takes what is changed now, as a TableCache does. */
  take(file: ImageFile): TakenTables {
    const taken = [...this.#changed].map(index => {
      const entry = Buffer.alloc(8);
      this.#put(entry, 0, index);
      return { index, entry };
    });
    this.#changed.clear();
    return {
      write: async () => {
        const some = taken.length > 0;
        for (let next = taken[0]; next; next = taken[0]) {
          await file.write(BigInt(this.at + next.index * 8), next.entry);
          taken.shift();
        }
        return some;
      },
      giveBack: () => {
        for (const { index } of taken.splice(0)) this.#changed.add(index);
      },
    };
  }
}
