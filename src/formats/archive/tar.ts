import { alignedDevice } from '../../block/aligned.ts';
import { isZero } from '../../block/data.ts';
import type { BlockDevice, RequestOptions } from '../../block/device.ts';
import { bytesAt } from '../../codecs/encoded.ts';
import type { ArchiveEntry } from './entry.ts';
import { embedded } from './tar-file.ts';
import {
  bad,
  readHeader,
  readMoreRuns,
  readOldSparse,
  SECTOR,
  type TarHeader,
  type TarRun,
} from './tar-header.ts';
import { NO_FIELDS, type PaxFields, readPax, runsOf, wholeNumber } from './tar-pax.ts';

export interface TarOptions extends RequestOptions {
  /** Bytes of the archive in which headers are looked for. */
  readonly limit?: number | undefined;
}

/**
 * Entries that tell of the next one: its name, what it links to, or fields; `g` of all that follow.
 */
const ABOUT_NEXT: ReadonlySet<string> = new Set(['x', 'g', 'L', 'K']);
/** Bytes of a long name or an extended header. */
const MOST_TEXT = 1 << 20;
/** Parts of a sparse file. */
const MOST_RUNS = 1 << 16;
/** Bytes of the map of one, as text. */
const MOST_MAP = 2 << 20;

/**
 * The ordinary files of a tar archive, in order: of ustar, pax and GNU tar, sparse ones among them.
 * @throws BlockError EIO it is no such archive, or damaged.
 */
export async function* tarEntries(
  archive: BlockDevice,
  { limit = Number.POSITIVE_INFINITY, ...options }: TarOptions,
): AsyncGenerator<ArchiveEntry> {
  const reader = new TarReader(alignedDevice(archive), options);
  const end = Math.min(Number(archive.size), limit);
  let [all, next] = [NO_FIELDS, NO_FIELDS];
  let longName: string | undefined;
  for (let at = 0; at + SECTOR <= end; ) {
    const sector = await reader.bytes(at, SECTOR);
    if (isZero(sector)) return;
    const header = readHeader(sector, at);
    const data = at + SECTOR;
    if (ABOUT_NEXT.has(header.type)) {
      const text = await reader.text(data, header.size);
      if (header.type === 'L') longName = text.toString('utf8').replace(/\0.*$/s, '');
      else if (header.type === 'g') all = readPax(text);
      else if (header.type !== 'K') next = readPax(text);
      at = data + padded(header.size);
      continue;
    }
    const fields = { values: new Map([...all.values, ...next.values]), runs: next.runs };
    const size = numberIn(fields, 'size') ?? header.size;
    const name = fields.values.get('GNU.sparse.name') ?? fields.values.get('path') ?? longName;
    const file = await reader.file(header, data, size, fields);
    if (file) yield embedded({ ...file, name: name ?? header.name });
    at = (file?.end ?? data) + (file ? 0 : padded(size));
    [next, longName] = [NO_FIELDS, undefined];
  }
}

/** Where a file is in an archive; `runs` are the parts of a sparse one that are there. */
interface Placed {
  readonly at: number;
  readonly stored: number;
  readonly size: number;
  readonly runs?: readonly TarRun[];
  /** Where the next header is. */
  readonly end: number;
}

class TarReader {
  readonly #file: BlockDevice;
  readonly #options: RequestOptions;
  readonly #size: number;

  constructor(file: BlockDevice, options: RequestOptions) {
    this.#file = file;
    this.#options = options;
    this.#size = Number(file.size);
  }

  async bytes(at: number, length: number): Promise<Buffer> {
    if (at + length > this.#size) throw bad('it is cut short');
    return await bytesAt(this.#file, at, length, this.#options);
  }

  async text(at: number, length: number): Promise<Buffer> {
    if (length > MOST_TEXT) throw bad(`a name or an extended header has ${length} bytes`);
    return await this.bytes(at, length);
  }

  /** undefined: it is no ordinary file. */
  async file(
    header: TarHeader,
    data: number,
    size: number,
    fields: PaxFields,
  ): Promise<Placed | undefined> {
    if (header.type === 'S') return await this.#oldSparse(header, data, size);
    if (header.type !== '0' && header.type !== '7') return undefined;
    const end = data + padded(size);
    const real = numberIn(fields, 'GNU.sparse.realsize') ?? numberIn(fields, 'GNU.sparse.size');
    if (real === undefined) return this.#placed({ at: data, stored: size, size, end });
    if (fields.values.get('GNU.sparse.major') === '1') {
      const { at, runs } = await this.#mapBefore(data, size);
      return this.#placed({ at, stored: size - (at - data), size: real, runs, end });
    }
    const map = fields.values.get('GNU.sparse.map');
    const runs = runsOf(map === undefined ? fields.runs : map.split(',').map(wholeNumber));
    return this.#placed({ at: data, stored: size, size: real, runs, end });
  }

  async #oldSparse(header: TarHeader, data: number, stored: number): Promise<Placed> {
    const { size, runs, hasMore } = readOldSparse(header);
    let at = data;
    for (let more = hasMore; more && runs.length <= MOST_RUNS; at += SECTOR) {
      const next = readMoreRuns(await this.bytes(at, SECTOR));
      runs.push(...next.runs);
      more = next.hasMore;
    }
    return this.#placed({ at, stored, size, runs, end: at + padded(stored) });
  }

  /**
   * The map of GNU's newest format: lines of digits before the data, first how many pairs follow.
   */
  async #mapBefore(data: number, size: number): Promise<{ at: number; runs: TarRun[] }> {
    const numbers: number[] = [];
    let rest = '';
    for (let at = data; ; at += SECTOR) {
      if (at + SECTOR > data + size || at - data > MOST_MAP)
        throw bad('the map of a sparse file is damaged');
      const lines = (rest + (await this.bytes(at, SECTOR)).toString('latin1')).split('\n');
      rest = lines.pop()!;
      for (const line of lines) {
        if (numbers.length > 2 * (numbers[0] ?? 1)) break;
        numbers.push(wholeNumber(line));
      }
      const [count = Number.POSITIVE_INFINITY, ...pairs] = numbers;
      if (pairs.length === 2 * count) return { at: at + SECTOR, runs: runsOf(pairs) };
    }
  }

  #placed(file: Placed): Placed {
    const { at, stored, size, runs } = file;
    if (stored < 0 || at + stored > this.#size) throw bad('it is cut short');
    let [end, sum] = [0, 0];
    for (const { offset, length } of runs ?? []) {
      if (offset < end || runs!.length > MOST_RUNS)
        throw bad('the map of a sparse file is damaged');
      end = offset + length;
      sum += length;
    }
    if (runs && (end > size || sum !== stored)) throw bad('the map of a sparse file is damaged');
    return file;
  }
}

function numberIn({ values }: PaxFields, key: string): number | undefined {
  const text = values.get(key);
  return text === undefined ? undefined : wholeNumber(text);
}

function padded(size: number): number {
  return Math.ceil(size / SECTOR) * SECTOR;
}
