import { BlockError } from '../../block/errors.ts';
import type { ImageFile } from '../../images/image-file.ts';
import type { Clusters } from './clusters.ts';
import { type Header, INCOMPATIBLE } from './header.ts';

const INCOMPATIBLE_AT = 72;

/** What of the metadata a cluster of the file holds, in qemu's words; undefined: none of it. */
export function metadataIn(
  header: Header,
  { l1, refcounts }: Pick<Clusters, 'l1' | 'refcounts'>,
  cluster: number,
): string | undefined {
  const size = 2 ** header.clusterBits;
  const at = cluster * size;
  const end = at + size;
  const { refcountOffset, refcountClusters, snapshots, snapshotsOffset } = header;
  if (cluster === 0) return 'qcow2 header';
  if (l1.at < end && at < l1.at + l1.entries * 8) return 'active L1 table';
  if (l1.leadsTo(at)) return 'active L2 table';
  if (refcountOffset < end && at < refcountOffset + refcountClusters * size)
    return 'refcount table';
  if (refcounts?.blocksAt.has(at)) return 'refcount block';
  if (snapshots > 0 && snapshotsOffset >= at && snapshotsOffset < end) return 'snapshot table';
  return undefined;
}

/**
 * What is found wrong in an image while it is used. From then on nothing is written to it, and its
 * header says so.
 */
export class Corruption {
  readonly #file: ImageFile;
  readonly #header: Header;
  readonly #marks: boolean;
  #found: BlockError | undefined;
  #marked: Promise<void> = Promise.resolve();

  /** @param marks it is open for writing, and not to be repaired. */
  constructor(file: ImageFile, header: Header, marks: boolean) {
    this.#file = file;
    this.#header = header;
    this.#marks = marks;
  }

  get isFound(): boolean {
    return this.#found !== undefined;
  }

  /** Notes it. @returns what to throw. */
  signal(what: string): BlockError {
    const error = new BlockError('EIO', `the image is corrupt: ${what}`);
    if (this.#marks && !this.#found) {
      this.#found = error;
      this.#marked = this.#mark().catch(() => {});
    }
    return error;
  }

  /** @throws BlockError nothing may be written. */
  refuse(): void {
    if (this.#found) throw this.#found;
  }

  /** The header says so, if it can be written. */
  marked(): Promise<void> {
    return this.#marked;
  }

  async #mark(): Promise<void> {
    if (this.#header.version < 3) return;
    this.#header.incompatible |= INCOMPATIBLE.corrupt;
    const field = Buffer.alloc(8);
    field.writeBigUInt64BE(this.#header.incompatible);
    await this.#file.write(BigInt(INCOMPATIBLE_AT), field);
    await this.#file.flush();
  }
}
