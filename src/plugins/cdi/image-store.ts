import type { BlockDevice } from '../../block/device.ts';

export type Packing = 'gzip' | 'zstd';

/** A layer that can be read. */
export interface StoredLayer {
  /** Of it as it is stored; undefined where that is not known. */
  readonly digest?: string;
  /** undefined: it can be read as it is. */
  readonly packing?: Packing;
  open(signal?: AbortSignal): BlockDevice | Promise<BlockDevice>;
}

export type PackedLayer = StoredLayer & { readonly packing: Packing };

/** Where the parts of a container image are. */
export interface ImageStore {
  /** @throws UsageError there is no such layer; BlockError */
  layer(index: number): Promise<StoredLayer>;
  close(): void | Promise<void>;
}
