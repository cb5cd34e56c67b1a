import type { BlockSize } from '../block/device.ts';

/** What the server says about an export. */
export interface ExportInfo {
  readonly size: bigint;
  /** 'Transmission flags'. */
  readonly flags: number;
  readonly blockSize: BlockSize | undefined;
  /** As the server calls it. */
  readonly canonicalName: string | undefined;
  readonly description: string | undefined;
}

/** Everything that was agreed on when the transmission begins. */
export interface Agreement extends ExportInfo {
  readonly protocol: Protocol;
  readonly exportName: string;
  /** The connection is encrypted. */
  readonly tls: boolean;
  readonly structured: boolean;
  readonly extended: boolean;
  /** Bytes of memory that payloads lie in, in place of the socket; 0: none is shared. */
  readonly sharedMemory: number;
  /** Names of the metadata contexts by their ids. */
  readonly contexts: ReadonlyMap<number, string>;
}

export type Protocol = 'oldstyle' | 'newstyle' | 'newstyle-fixed';
