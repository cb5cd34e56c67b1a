/** What has to do with all entries of a mapping, while nobody writes. */
import { BlockError } from '../../block/errors.ts';
import { MappedReads } from '../../images/mapped-device.ts';
import { MappedWrites } from '../../images/mapped-writes.ts';
import type { Clusters } from './clusters.ts';
import type { L1 } from './l1.ts';
import type { State } from './state.ts';

/** The clusters of the file, by their numbers, to which each entry of a mapping refers. */
export async function* references(clusters: Clusters, l1: L1): AsyncGenerator<readonly number[]> {
  for (const start of l1.offsets) {
    if (start === 0) continue;
    for await (const { slice } of slicesOf(clusters, start)) {
      for (let at = 0; at < slice.length; at += clusters.entries.bytes) {
        const hosts = clusters.hostClusters(slice, at);
        if (hosts.length > 0) yield hosts;
      }
    }
    yield [start / clusters.cluster];
  }
}

/** The slices of a table, and where in the file they begin. */
async function* slicesOf({ cluster, tables }: Clusters, table: number) {
  for (let start = table; start < table + cluster; start += tables.slice) {
    yield { start, slice: await tables.get(start) };
  }
}

/** The entries of a table that lead to clusters of this file which are not compressed. */
export async function* standardEntries(clusters: Clusters, table: number) {
  for await (const { start, slice } of slicesOf(clusters, table)) {
    for (let at = 0; at < slice.length; at += clusters.entries.bytes) {
      const { kind, offset, own } = clusters.entries.read(slice, at, 0);
      if (kind === 'packed' || clusters.hostClusters(slice, at).length === 0) continue;
      yield { start, at, offset, own, text: slice.readBigUInt64BE(at).toString(16) };
    }
  }
}

/** Notes anew what nothing else refers to; whoever changed reference counts calls it. */
export async function markOwn({ clusters, refcounts }: State): Promise<void> {
  const { cluster, entries, l1, tables } = clusters;
  const isOwn = async (at: number) => (await refcounts.get(Math.floor(at / cluster))) === 1;
  for (const [index, table] of l1.offsets.entries()) {
    if (table === 0) continue;
    l1.mark(index, await isOwn(table));
    for await (const { start, at, offset, own } of standardEntries(clusters, table)) {
      const now = await isOwn(offset);
      if (now === own) continue;
      await tables.edit(start, at, entries.bytes, bytes => entries.mark(bytes, at, now));
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
