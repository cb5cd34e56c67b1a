/** What has to do with all entries of a mapping, while nobody writes. */
import { BlockError } from '../../block/errors.ts';
import { MappedReads } from '../../images/mapped-device.ts';
import { MappedWrites } from '../../images/mapped-writes.ts';
import type { Clusters } from './clusters.ts';
import type { L1 } from './l1.ts';
import { writtenEntries } from './offsets.ts';
import type { State } from './state.ts';

/** The clusters of the file, by their numbers, to which a mapping refers, a slice of a table at a time. */
export async function* references(clusters: Clusters, l1: L1): AsyncGenerator<readonly number[]> {
  const bytes = Buffer.alloc(clusters.cluster);
  for (const start of l1.offsets) {
    if (start === 0) continue;
    for (const slice of await clusters.tables.all(start, bytes)) {
      const hosts: number[] = [];
      for (const at of writtenEntries(slice, clusters.entries.bytes)) {
        hosts.push(...clusters.hostClusters(slice, at));
      }
      yield hosts;
    }
    yield [start / clusters.cluster];
  }
}

/** An entry that leads to a cluster of this file which is not compressed. */
interface StandardEntry {
  /** The slice of the table, where it begins in the file, and where in it the entry is. */
  readonly slice: Buffer;
  readonly start: number;
  readonly at: number;
  /** Of the cluster. */
  readonly offset: number;
  readonly own: boolean;
}

/**
 * Such entries of a table, a slice of it at a time.
 * @param bytes of the caller's, as long as a cluster, where the table is meanwhile.
 */
export async function* standardEntries(
  clusters: Clusters,
  table: number,
  bytes: Buffer,
): AsyncGenerator<readonly StandardEntry[]> {
  const slices = await clusters.tables.all(table, bytes);
  for (const [index, slice] of slices.entries()) {
    const start = table + index * clusters.tables.slice;
    const found: StandardEntry[] = [];
    for (const at of writtenEntries(slice, clusters.entries.bytes)) {
      const { kind, offset, own } = clusters.entries.read(slice, at, 0);
      if (kind === 'packed' || clusters.hostClusters(slice, at).length === 0) continue;
      found.push({ slice, start, at, offset, own });
    }
    yield found;
  }
}

/** Notes anew what nothing else refers to; whoever changed reference counts calls it. */
export async function markOwn({ clusters, refcounts }: State): Promise<void> {
  const { cluster, entries, l1, tables } = clusters;
  const isOwn = async (at: number) => (await refcounts.get(Math.floor(at / cluster))) === 1;
  const bytes = Buffer.alloc(cluster);
  for (const [index, table] of l1.offsets.entries()) {
    if (table === 0) continue;
    l1.mark(index, await isOwn(table));
    for await (const found of standardEntries(clusters, table, bytes)) {
      for (const { start, at, offset, own } of found) {
        const now = await isOwn(offset);
        if (now === own) continue;
        await tables.edit(start, at, entries.bytes, slice => entries.mark(slice, at, now));
      }
    }
  }
  await clusters.flush();
}

/**
 * No entry says any more that its cluster is zeroes: it is nowhere, or is given zeroes.
 * @throws BlockError ENOTSUP some may be of snapshots, and cannot be changed
 */
export async function withoutZeroFlags({ clusters, file, snapshots }: State): Promise<void> {
  const disk = new MappedReads({ mapping: clusters, data: file, close: async () => {} });
  const writes = new MappedWrites(disk, file, clusters);
  for (let at = 0n; at < clusters.size; ) {
    const left = clusters.size - at;
    const run = await clusters.find(at, left < 2n ** 30n ? Number(left) : 2 ** 30);
    if (run.kind === 'zero') {
      if (snapshots.length > 0) {
        throw new BlockError('ENOTSUP', 'snapshots have clusters of zeroes');
      }
      if (clusters.backed) await writes.fill(at, run.length);
      else await clusters.forget(at, at + BigInt(run.length));
    }
    at += BigInt(run.length);
  }
  await clusters.flush();
}
