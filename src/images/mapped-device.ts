import { alignedDevice } from '../block/aligned.ts';
import { andThen, isPromise } from '../block/answer.ts';
import { closeAll } from '../block/close-all.ts';
import { zeroes } from '../block/data.ts';
import type {
  BlockDevice,
  Data,
  Extent,
  ExtentsOptions,
  ReadOptions,
  RequestOptions,
} from '../block/device.ts';
import { extentsOf } from '../block/emulate.ts';
import { ExtentList } from '../block/extents.ts';
import { type Part, readParts } from '../block/parts.ts';
import { composed } from '../block/wrap.ts';
import { MappedWrites } from './mapped-writes.ts';
import type { ReadsUnderWay } from './reads-under-way.ts';
import type { Allocation, Mapping, Run } from './run.ts';

/** What is read and written by offsets, and not closed. */
export type Bytes = Pick<BlockDevice, 'read' | 'write'>;

/** What the disk of an image is made of. */
export interface MappedParts {
  readonly mapping: Mapping;
  /** The file, where data lies in it as it is read and written. */
  readonly data: Bytes;
  /** The disk by its own offsets, for packed runs. */
  readonly packed?: Pick<BlockDevice, 'read'> | undefined;
  /** What shows where the image has nothing; closed with it. */
  readonly backing?: BlockDevice | undefined;
  /** Absent: for reading only. */
  readonly allocation?: Allocation | undefined;
  readonly resize?: BlockDevice['resize'];
  readonly contexts?: BlockDevice['contexts'];
  /** Bytes of a cluster. */
  readonly preferred?: number | undefined;
  close(): Promise<void>;
}

/** Most runs that are looked at to answer for extents. */
const MOST_RUNS = 1024;

/** The disk of an image, as a device. */
export function mappedDevice(parts: MappedParts): BlockDevice {
  const { mapping, allocation, resize, contexts, close } = parts;
  const disk = new MappedReads(parts);
  const writes = allocation && new MappedWrites(disk, parts.data, allocation);
  return composed({
    get size() {
      return mapping.size;
    },
    description: undefined,
    rotational: undefined,
    multiConn: true,
    blockSize: blockSizeOf(parts.preferred),
    fua: undefined,
    zeroing: undefined,
    fastZero: allocation && (allocation.zero ? 'native' : 'emulated'),
    caching: 'emulated',
    opaque: undefined,
    contexts,
    recipe: undefined,
    read: (offset, length, options) => disk.read(offset, length, options),
    extents: (offset, length, options) => disk.extents(offset, length, options),
    write: writes && ((offset, data, options) => writes.write(offset, data, options)),
    writeBuffer: undefined,
    flush: writes && (() => allocation!.flush()),
    zero: writes && ((offset, length, options) => writes.zero(offset, length, options)),
    trim: writes && ((offset, length) => writes.trim(offset, length)),
    cache: undefined,
    resize: writes && resize,
    close: async () => {
      try {
        await close();
      } finally {
        await closeAll(parts.backing ? [parts.backing] : []);
      }
    },
  });
}

const blockSizeOf = (preferred: number | undefined) =>
  preferred === undefined
    ? undefined
    : { minimum: 1, preferred: Math.max(4096, preferred), maximum: 2 ** 32 - 1, advisory: true };

const ZEROES: Pick<BlockDevice, 'read'> = { read: (_, length) => zeroes(length) };

/** Reads through the mapping, and through the backing file where it has nothing. */
export class MappedReads {
  readonly mapping: Mapping;
  readonly #data: Bytes;
  readonly #packed: Pick<BlockDevice, 'read'>;
  readonly #backing: BlockDevice | undefined;
  readonly #reads: ReadsUnderWay | undefined;

  constructor({ mapping, data, packed, backing, allocation }: MappedParts) {
    this.mapping = mapping;
    this.#reads = allocation?.reads;
    this.#data = data;
    this.#packed = packed ?? ZEROES;
    this.#backing = backing && alignedDevice(backing);
  }

  read(offset: bigint, length: number, options?: ReadOptions): Data | PromiseLike<Data> {
    const answer = this.#read(offset, length, options);
    return this.#reads && isPromise(answer) ? this.#reads.during(answer) : answer;
  }

  #read(offset: bigint, length: number, options?: ReadOptions): Data | PromiseLike<Data> {
    const first = this.mapping.find(offset, length);
    if (!isPromise(first) && first.length === length && first.kind === 'data') {
      return this.#data.read(BigInt(first.at!), length, options);
    }
    return andThen(this.#parts(first, offset, length), parts => readParts(parts, options));
  }

  async #parts(
    first: Run | PromiseLike<Run>,
    offset: bigint,
    length: number,
  ): Promise<readonly Part[]> {
    const parts: Part[] = [];
    let next = first;
    for (let done = 0; ; next = this.mapping.find(offset + BigInt(done), length - done)) {
      const run = isPromise(next) ? await next : next;
      this.#add(parts, run, offset + BigInt(done));
      done += run.length;
      if (done >= length) return parts;
    }
  }

  #add(parts: Part[], { kind, length, at }: Run, offset: bigint): void {
    if (kind === 'data') parts.push(part(this.#data, BigInt(at!), length));
    else if (kind === 'packed') parts.push(part(this.#packed, offset, length));
    else {
      const behind = kind === 'absent' ? this.#behind(offset, length) : 0;
      if (behind > 0) parts.push(part(this.#backing!, offset, behind));
      if (behind < length) parts.push(part(ZEROES, offset, length - behind));
    }
  }

  /** How many bytes of a range the backing file has. */
  #behind(offset: bigint, length: number): number {
    const left = (this.#backing?.size ?? 0n) - offset;
    return left < BigInt(length) ? Math.max(0, Number(left)) : length;
  }

  async extents(offset: bigint, length: number, options?: ExtentsOptions): Promise<Extent[]> {
    const list = new ExtentList();
    for (let looked = 0; list.length < length && looked < MOST_RUNS; looked++) {
      if (options?.one && list.extents.length > 1) break;
      const at = offset + BigInt(list.length);
      const found = this.mapping.find(at, length - list.length);
      const run = isPromise(found) ? await found : found;
      if (run.kind === 'absent') await this.#addBehind(list, at, run.length, options);
      else list.add(run.length, run.kind === 'zero' && run.at === undefined, run.kind === 'zero');
    }
    return options?.one ? list.extents.slice(0, 1) : list.extents;
  }

  async #addBehind(
    list: ExtentList,
    offset: bigint,
    length: number,
    options: RequestOptions | undefined,
  ): Promise<void> {
    const behind = this.#behind(offset, length);
    if (behind === 0) return list.addHole(length);
    const runs = await extentsOf(this.#backing!, offset, behind, options);
    // What it does not tell of now it is asked for next.
    if (list.addRuns(runs, behind) && behind < length) list.addHole(length - behind);
  }
}

const part = (device: Pick<BlockDevice, 'read'>, offset: bigint, length: number): Part => ({
  device: device as BlockDevice,
  offset,
  length,
});
