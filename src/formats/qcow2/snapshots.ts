import { BlockError } from '../../block/errors.ts';
import type { Snapshots } from '../../images/image.ts';
import { harmless } from '../../protocol/text.ts';
import { l1EntriesFor, MOST_SNAPSHOTS } from './header.ts';
import { L1 } from './l1.ts';
import { type StoredSnapshot, snapshotTable } from './snapshot-table.ts';
import { giveBack, type State, saveSize, store } from './state.ts';
import { markOwn, references } from './walk.ts';

const LONGEST_NAME = 65535;

/** The internal snapshots of an image that is open for writing. */
export function snapshotsOf(state: State): Snapshots {
  return {
    list: () => state.snapshots,
    create: name => create(state, name),
    apply: which => apply(state, find(state, which)),
    remove: which => remove(state, find(state, which)),
  };
}

/** By its id first, then by its name. @throws BlockError ENOENT */
export function find({ snapshots }: Pick<State, 'snapshots'>, which: string): StoredSnapshot {
  const found =
    snapshots.find(({ id }) => id === which) ?? snapshots.find(({ name }) => name === which);
  if (found) return found;
  throw new BlockError('ENOENT', `there is no snapshot '${harmless(which)}'`);
}

async function create(state: State, name: string): Promise<void> {
  const { clusters, header, refcounts } = state;
  const { l1 } = clusters;
  await clusters.flush();
  if (state.snapshots.length >= MOST_SNAPSHOTS) {
    throw new BlockError('ENOSPC', `an image has at most ${MOST_SNAPSHOTS} snapshots`);
  }
  if (Buffer.byteLength(name) > LONGEST_NAME) {
    throw new BlockError('EINVAL', `a name has at most ${LONGEST_NAME} bytes`);
  }
  if (refcounts.max < 2) {
    throw new BlockError('ENOSPC', 'reference counts of one bit leave no room for snapshots');
  }
  await refer(state, l1, 1);
  const copy = new L1(0, l1.entries);
  copy.offsets.set(l1.offsets);
  const l1Offset = await store(state, copy.bytes());
  const now = Date.now();
  const snapshot: StoredSnapshot = {
    id: `${Math.max(0, ...state.snapshots.map(({ id }) => Number.parseInt(id, 10) || 0)) + 1}`,
    name,
    stateSize: 0n,
    seconds: Math.floor(now / 1000),
    nanoseconds: (now % 1000) * 1e6,
    clock: 0n,
    instructions: 0n,
    diskSize: header.size,
    l1Offset,
    l1Entries: l1.entries,
    unknown: Buffer.alloc(0),
  };
  await replaceTable(state, [...state.snapshots, snapshot]);
  await markOwn(state);
}

async function apply(state: State, snapshot: StoredSnapshot): Promise<void> {
  const { clusters, file, header } = state;
  await clusters.flush();
  const size = snapshot.diskSize;
  if (header.version === 2 && size !== header.size) {
    throw new BlockError(
      'ENOTSUP',
      'the disk had another size then, which version 2 cannot have again',
    );
  }
  const target = await l1Of(state, snapshot);
  await refer(state, target, 1);
  const before = clusters.l1;
  const entries = Math.max(target.entries, l1EntriesFor(header, size));
  const active = new L1(0, entries);
  active.offsets.set(target.offsets);
  active.at = await store(state, active.bytes());
  await clusters.flush();
  await file.flush();
  Object.assign(header, { size, l1Entries: entries, l1Offset: active.at });
  await saveSize(state);
  clusters.l1 = active;
  await refer(state, before, -1);
  await giveBack(state, before.at, before.entries * 8);
  await markOwn(state);
}

async function remove(state: State, snapshot: StoredSnapshot): Promise<void> {
  await state.clusters.flush();
  const l1 = await l1Of(state, snapshot);
  const others = state.snapshots.filter(each => each !== snapshot);
  await replaceTable(state, others);
  await refer(state, l1, -1);
  await giveBack(state, snapshot.l1Offset, snapshot.l1Entries * 8);
  await markOwn(state);
}

/** The mapping of a snapshot, for reading. */
export function l1Of(
  { file, header }: Pick<State, 'file' | 'header'>,
  snapshot: StoredSnapshot,
): Promise<L1> {
  if (snapshot.l1Entries * 8 > 32 << 20 || snapshot.l1Offset % 2 ** header.clusterBits !== 0) {
    throw new BlockError('EIO', `the L1 table of snapshot '${harmless(snapshot.name)}' is invalid`);
  }
  return L1.read(file, snapshot.l1Offset, snapshot.l1Entries);
}

/** One reference more, or one less, to all that a mapping leads to. */
async function refer({ clusters, refcounts }: State, l1: L1, by: 1 | -1): Promise<void> {
  for await (const hosts of references(clusters, l1)) {
    for (const host of hosts) await refcounts.change(host, by);
  }
}

/** A new table at another place, to which the header leads at one stroke. */
async function replaceTable(state: State, snapshots: readonly StoredSnapshot[]): Promise<void> {
  const { clusters, file, header } = state;
  const before = { at: header.snapshotsOffset, length: state.snapshotBytes };
  const table = snapshotTable(snapshots);
  const at = table.length > 0 ? await store(state, table) : 0;
  await clusters.flush();
  await file.flush();
  const fields = Buffer.alloc(12);
  fields.writeUInt32BE(snapshots.length, 0);
  fields.writeBigUInt64BE(BigInt(at), 4);
  await file.write(60n, fields);
  await file.flush();
  Object.assign(header, { snapshots: snapshots.length, snapshotsOffset: at });
  Object.assign(state, { snapshots, snapshotBytes: table.length });
  if (before.length > 0) await giveBack(state, before.at, before.length);
}
