import type { BlockDevice } from '../../block/device.ts';
import { BlockError } from '../../block/errors.ts';
import { PASS, wrapDevice } from '../../block/wrap.ts';
import { ImageFile } from '../../images/image-file.ts';
import { checksum, type Header, wrong } from './structures.ts';

const SECTOR = 4096;
const ENTRY_HEADER = 64;
const DESCRIPTOR = 32;
/** Descriptors of an entry, at most. */
const MOST_DESCRIPTORS = 1 << 16;
/** Larger logs than anyone makes are not looked through. */
const MOST_LOG = 64 << 20;
/** Beyond what any disk needs. */
const MOST_FILE = 2n ** 47n;

/** An entry of the log that is whole. */
interface Entry {
  readonly at: number;
  readonly length: number;
  readonly tail: number;
  readonly sequence: bigint;
  readonly flushed: bigint;
  readonly last: bigint;
  readonly changes: readonly Change[];
}

/** What is written into the file: bytes, or so many zeroes. */
export interface Change {
  readonly at: bigint;
  readonly bytes: Buffer | undefined;
  readonly length: number;
}

/** What is to be done before the file is what it should be. */
export interface Replay {
  /** In order. */
  readonly changes: readonly Change[];
  /** Bytes that the file must have afterwards. */
  readonly size: bigint;
}

/**
 * What the log holds of changes that may not be in the file.
 * @returns undefined when there is nothing to replay.
 * @throws BlockError EINVAL the file lacks what was in it when the log was written.
 */
export async function readLog(file: ImageFile, header: Header): Promise<Replay | undefined> {
  const { logAt, logLength, logGuid } = header;
  if (logLength === 0) return undefined;
  if (logLength > MOST_LOG) throw wrong(`a log of ${logLength} bytes`);
  const log = await file.bytes(logAt, logLength);
  const entries = new Map<number, Entry>();
  for (let at = 0; at < logLength; at += SECTOR) {
    const entry = entryAt(log, at, logGuid);
    if (entry) entries.set(at, entry);
  }
  const heads = [...entries.values()].sort((a, b) => (a.sequence < b.sequence ? 1 : -1));
  for (const head of heads) {
    const sequence = sequenceOf(entries, head, logLength);
    if (!sequence) continue;
    if (head.flushed > file.device.size) {
      throw wrong(`the file has ${file.device.size} bytes, the log tells of ${head.flushed}`);
    }
    const changes = sequence.flatMap(each => each.changes);
    const most = Math.max(Number(head.last), Number(file.device.size));
    if (changes.some(({ at, length }) => Number(at) + length > most)) {
      throw wrong(`the log changes the file beyond its end at ${most}`);
    }
    return { changes, size: head.last };
  }
  return undefined;
}

/** From the tail that an entry names up to itself, each with the next number. */
function sequenceOf(
  entries: ReadonlyMap<number, Entry>,
  head: Entry,
  logLength: number,
): Entry[] | undefined {
  const found: Entry[] = [];
  for (let at = head.tail; found.length <= entries.size; ) {
    const entry = entries.get(at);
    const before = found.at(-1);
    if (!entry || (before && entry.sequence !== before.sequence + 1n)) return undefined;
    found.push(entry);
    if (entry === head) return found;
    at = (at + entry.length) % logLength;
  }
  return undefined;
}

function entryAt(log: Buffer, at: number, guid: Buffer): Entry | undefined {
  if (log.toString('latin1', at, at + 4) !== 'loge') return undefined;
  const length = log.readUInt32LE(at + 8);
  if (length < SECTOR || length % SECTOR !== 0 || length > log.length) return undefined;
  const bytes = Buffer.concat([log.subarray(at, at + length)], length);
  // It may go on at the beginning of the ring.
  const before = Math.min(length, log.length - at);
  log.copy(bytes, before, 0, length - before);
  const [tail, count] = [bytes.readUInt32LE(12), bytes.readUInt32LE(24)];
  const sequence = bytes.readBigUInt64LE(16);
  if (bytes.readUInt32LE(4) !== checksum(bytes) || sequence === 0n) return undefined;
  if (!bytes.subarray(32, 48).equals(guid) || count > MOST_DESCRIPTORS) return undefined;
  const changes = changesOf(bytes, count, sequence);
  if (!changes) return undefined;
  const [flushed, last] = [bytes.readBigUInt64LE(48), bytes.readBigUInt64LE(56)];
  if (last > MOST_FILE) return undefined;
  return { at, length, tail, sequence, flushed, last, changes };
}

/** What the descriptors say; undefined when they make no sense. */
function changesOf(bytes: Buffer, count: number, sequence: bigint): Change[] | undefined {
  let dataAt = Math.ceil((ENTRY_HEADER + count * DESCRIPTOR) / SECTOR) * SECTOR;
  if (dataAt > bytes.length) return undefined;
  const changes: Change[] = [];
  for (let index = 0; index < count; index++) {
    const at = ENTRY_HEADER + index * DESCRIPTOR;
    const kind = bytes.toString('latin1', at, at + 4);
    const place = bytes.readBigUInt64LE(at + 16);
    if (bytes.readBigUInt64LE(at + 24) !== sequence) return undefined;
    if (place % BigInt(SECTOR) !== 0n || place > MOST_FILE) return undefined;
    if (kind === 'zero') {
      const length = bytes.readBigUInt64LE(at + 8);
      if (length % BigInt(SECTOR) !== 0n || length > MOST_FILE) return undefined;
      if (length > 0n) changes.push({ at: place, bytes: undefined, length: Number(length) });
    } else if (kind === 'desc') {
      const page = pageOf(bytes, at, dataAt, sequence);
      if (!page) return undefined;
      changes.push({ at: place, bytes: page, length: SECTOR });
      dataAt += SECTOR;
    } else return undefined;
  }
  return changes;
}

/** A sector of data, whose first and last bytes are in its descriptor. */
function pageOf(bytes: Buffer, at: number, dataAt: number, sequence: bigint): Buffer | undefined {
  if (dataAt + SECTOR > bytes.length) return undefined;
  if (bytes.toString('latin1', dataAt, dataAt + 4) !== 'data') return undefined;
  const high = BigInt(bytes.readUInt32LE(dataAt + 4));
  const low = BigInt(bytes.readUInt32LE(dataAt + SECTOR - 4));
  if ((high << 32n) + low !== sequence) return undefined;
  return Buffer.concat([
    bytes.subarray(at + 8, at + 16),
    bytes.subarray(dataAt + 8, dataAt + SECTOR - 4),
    bytes.subarray(at + 4, at + 8),
  ]);
}

/** Puts the changes into the file. @throws BlockError ENOSPC it cannot be as long as it must. */
export async function replay(file: ImageFile, { changes, size }: Replay): Promise<void> {
  if (size > file.device.size) {
    if (!file.device.resize) throw new BlockError('ENOSPC', 'vhdx: the file cannot be made longer');
    await file.grow(Number(size));
  }
  for (const { at, bytes, length } of changes) {
    if (bytes) await file.write(at, bytes);
    else await file.zero(Number(at), length);
  }
  await file.flush();
}

/** The file as it will be when the log has been replayed, for whoever must not write. */
export function replayedDevice(below: BlockDevice, { changes, size }: Replay): BlockDevice {
  const file = new ImageFile(below);
  return wrapDevice(file.device, {
    ...PASS,
    size: size > below.size ? size : below.size,
    extents: undefined,
    read: async (offset, length, options) => {
      const bytes = await file.bytes(Number(offset), length, options);
      for (const change of changes) {
        const from = Math.max(0, Number(change.at - offset));
        const to = Math.min(length, Number(change.at - offset) + change.length);
        if (from >= to) continue;
        const start = from - Number(change.at - offset);
        if (change.bytes) change.bytes.copy(bytes, from, start, start + to - from);
        else bytes.fill(0, from, to);
      }
      return bytes;
    },
  });
}
