import type { ImageFile } from '../../images/image-file.ts';
import type { Clusters } from './clusters.ts';
import { type Header, writeHeader } from './header.ts';
import type { Refcounts } from './refcounts.ts';
import type { StoredSnapshot } from './snapshot-table.ts';

/** A qcow2 image that is open for writing, for what changes it as a whole. */
export interface State {
  readonly file: ImageFile;
  readonly header: Header;
  readonly clusters: Clusters;
  refcounts: Refcounts;
  snapshots: readonly StoredSnapshot[];
  /** Bytes of their table, as it is in the file. */
  snapshotBytes: number;
}

/** Writes the header anew, in one write. */
export async function saveHeader({ file, header }: Pick<State, 'file' | 'header'>): Promise<void> {
  await file.write(0n, writeHeader(header));
  await file.flush();
}

/** Changes the size of the disk and where its mapping is, at one stroke. */
export async function saveSize({ file, header }: State): Promise<void> {
  const fields = Buffer.alloc(24);
  fields.writeBigUInt64BE(header.size, 0);
  fields.writeUInt32BE(header.crypt, 8);
  fields.writeUInt32BE(header.l1Entries, 12);
  fields.writeBigUInt64BE(BigInt(header.l1Offset), 16);
  await file.write(24n, fields);
  await file.flush();
}

/** Writes bytes to clusters of their own. @returns where, in bytes. */
export async function store({ file, header, refcounts }: State, bytes: Buffer): Promise<number> {
  const size = 2 ** header.clusterBits;
  const at = (await refcounts.allocateRow(Math.max(1, Math.ceil(bytes.length / size)))) * size;
  await file.write(BigInt(at), bytes);
  return at;
}

/** Gives back what `store` took for so many bytes. */
export async function giveBack(
  { header, refcounts }: State,
  at: number,
  length: number,
): Promise<void> {
  const size = 2 ** header.clusterBits;
  for (let index = at / size; index * size < at + length; index++)
    await refcounts.change(index, -1);
}
