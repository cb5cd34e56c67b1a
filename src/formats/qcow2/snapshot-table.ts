import { BlockError } from '../../block/errors.ts';
import type { Snapshot } from '../../images/image.ts';
import type { ImageFile } from '../../images/image-file.ts';
import type { Header } from './header.ts';

/** A snapshot as the table has it. */
export interface StoredSnapshot extends Snapshot {
  readonly diskSize: bigint;
  readonly l1Offset: number;
  readonly l1Entries: number;
  /** Extra data behind what is known of it. */
  readonly unknown: Buffer;
}

const FIXED = 40;
/** Extra data that is known: sizes of the state and of the disk, and instructions. */
const EXTRA = 24;
const MOST_EXTRA = 1024;
const MOST_TABLE = 64 << 20;
const NO_COUNT = 2n ** 64n - 1n;

/** The snapshots of an image, and how many bytes their table has. @throws BlockError EIO */
export async function readSnapshots(
  file: ImageFile,
  { snapshots: count, snapshotsOffset, size }: Header,
): Promise<{ snapshots: StoredSnapshot[]; bytes: number }> {
  const snapshots: StoredSnapshot[] = [];
  let at = 0;
  for (let index = 0; index < count; index++) {
    const { snapshot, length } = await readOne(file, snapshotsOffset + at, size);
    snapshots.push(snapshot);
    at += length;
    if (at > MOST_TABLE) throw new BlockError('EIO', 'Snapshot table is too big');
  }
  return { snapshots, bytes: at };
}

/** @param size of the disk, which snapshots of old programs do not say. */
async function readOne(file: ImageFile, at: number, size: bigint) {
  const fixed = await file.bytes(at, FIXED);
  const [idLength, nameLength] = [fixed.readUInt16BE(12), fixed.readUInt16BE(14)];
  const extraLength = fixed.readUInt32BE(36);
  if (extraLength > MOST_EXTRA)
    throw new BlockError('EIO', 'Too much extra metadata in snapshot table entry');
  const rest = await file.bytes(at + FIXED, extraLength + idLength + nameLength);
  const extra = rest.subarray(0, extraLength);
  const id = rest.toString('utf8', extraLength, extraLength + idLength);
  const instructions = extraLength >= EXTRA ? extra.readBigUInt64BE(16) : NO_COUNT;
  const l1Offset = fixed.readBigUInt64BE(0);
  if (l1Offset > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw new BlockError('EIO', 'the L1 table of a snapshot is outside the image');
  }
  const snapshot: StoredSnapshot = {
    l1Offset: Number(l1Offset),
    l1Entries: fixed.readUInt32BE(8),
    id,
    name: rest.toString('utf8', extraLength + idLength),
    seconds: fixed.readUInt32BE(16),
    nanoseconds: fixed.readUInt32BE(20),
    clock: fixed.readBigUInt64BE(24),
    stateSize: extraLength >= 8 ? extra.readBigUInt64BE(0) : BigInt(fixed.readUInt32BE(32)),
    diskSize: extraLength >= 16 ? extra.readBigUInt64BE(8) : size,
    instructions: instructions === NO_COUNT ? undefined : instructions,
    unknown: Buffer.from(extra.subarray(EXTRA)),
  };
  return { snapshot, length: Math.ceil((FIXED + rest.length) / 8) * 8 };
}

/** The table as it stands in the file. @throws BlockError ENOSPC it is too large */
export function snapshotTable(snapshots: readonly StoredSnapshot[]): Buffer {
  const table = Buffer.concat(snapshots.map(entryOf));
  if (table.length <= MOST_TABLE) return table;
  throw new BlockError('ENOSPC', 'the image has no room for more snapshots');
}

function entryOf(snapshot: StoredSnapshot): Buffer {
  const [id, name] = [Buffer.from(snapshot.id), Buffer.from(snapshot.name)];
  const entry = Buffer.alloc(FIXED + EXTRA);
  entry.writeBigUInt64BE(BigInt(snapshot.l1Offset), 0);
  entry.writeUInt32BE(snapshot.l1Entries, 8);
  entry.writeUInt16BE(id.length, 12);
  entry.writeUInt16BE(name.length, 14);
  entry.writeUInt32BE(snapshot.seconds, 16);
  entry.writeUInt32BE(snapshot.nanoseconds, 20);
  entry.writeBigUInt64BE(snapshot.clock, 24);
  entry.writeUInt32BE(Number(BigInt.asUintN(32, snapshot.stateSize)), 32);
  entry.writeUInt32BE(EXTRA + snapshot.unknown.length, 36);
  entry.writeBigUInt64BE(snapshot.stateSize, 40);
  entry.writeBigUInt64BE(snapshot.diskSize, 48);
  entry.writeBigUInt64BE(snapshot.instructions ?? NO_COUNT, 56);
  const all = [entry, snapshot.unknown, id, name];
  const length = all.reduce((sum, part) => sum + part.length, 0);
  return Buffer.concat([...all, Buffer.alloc(-length & 7)]);
}
