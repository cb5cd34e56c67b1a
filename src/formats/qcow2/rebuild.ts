import { writeCount } from './counts.ts';
import { Refcounts } from './refcounts.ts';
import type { References } from './references.ts';
import type { State } from './state.ts';

/**
 * Counters built anew from what is referred to, behind all that is there; the header leads to them at
 * one stroke. What was before stays counted, and is what nobody refers to any more.
 */
export async function rebuildRefcounts(state: State, references: References): Promise<void> {
  const { clusters, file, header } = state;
  const size = 2 ** header.clusterBits;
  const perBlock = (size * 8) / 2 ** header.refcountOrder;
  const first = references.clusters;
  let [blocks, table] = [1, 1];
  for (;;) {
    const needed = Math.ceil((first + blocks + table) / perBlock);
    const tableNeeded = Math.ceil((needed * 8) / size);
    if (needed === blocks && tableNeeded === table) break;
    [blocks, table] = [needed, tableNeeded];
  }
  const end = first + blocks + table;
  const offsets = Buffer.alloc(table * size);
  await file.grow(end * size);
  for (let number = 0; number < blocks; number++) {
    const block = Buffer.alloc(size);
    for (let place = 0; place < perBlock; place++) {
      const index = number * perBlock + place;
      const count = index >= first ? Number(index < end) : references.get(index);
      if (count > 0)
        writeCount(
          block,
          place,
          header.refcountOrder,
          Math.min(count, Refcounts.maxOf(header.refcountOrder)),
        );
    }
    const at = (first + number) * size;
    await file.write(BigInt(at), block);
    offsets.writeBigUInt64BE(BigInt(at), number * 8);
  }
  const tableAt = (first + blocks) * size;
  await file.write(BigInt(tableAt), offsets);
  await file.flush();
  const fields = Buffer.alloc(12);
  fields.writeBigUInt64BE(BigInt(tableAt), 0);
  fields.writeUInt32BE(table, 8);
  await file.write(48n, fields);
  await file.flush();
  Object.assign(header, { refcountOffset: tableAt, refcountClusters: table });
  const rebuilt = await Refcounts.open(file, header);
  state.refcounts = rebuilt;
  clusters.refcounts = rebuilt;
}
