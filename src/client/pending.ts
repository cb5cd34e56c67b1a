import type { Data, StatusRun } from '../block/device.ts';
import type { BlockError } from '../block/errors.ts';
import type { RequestHeader } from '../protocol/request.ts';
import type { Reading } from './reading.ts';

/** The runs of each context, by its name. */
export type Statuses = Map<string, StatusRun[]>;

/** What a request can be answered with. */
export type Answer = Data | Statuses | undefined;

/** A request that was sent and is not answered in full. */
export interface Pending {
  readonly request: Readonly<RequestHeader>;
  /** For reads. */
  readonly reading?: Reading | undefined;
  /** For block status. */
  readonly statuses?: Statuses | undefined;
  /** How many contexts the block status is of. */
  readonly wanted?: number;
  /** The first error that the server reported; the reply may still go on. */
  error: BlockError | undefined;
  errorChunks: number;
  resolve(answer: Answer): void;
  reject(error: unknown): void;
}
