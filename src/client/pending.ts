import type { Data, StatusRun } from '../block/device.ts';
import type { RequestHeader } from '../protocol/request.ts';
import type { Reading } from './reading.ts';
import type { Slot } from './shared-slots.ts';

/** A request as its caller makes it, without the cookie. */
export type Request = Omit<RequestHeader, 'cookieHigh' | 'cookieLow'>;

/** The runs of each context, by its name. */
export type Statuses = Map<string, StatusRun[]>;

/** What a request can be answered with. */
export type Answer = Data | Statuses | undefined;

/** What the answer to a request consists of, and as much of it as has come. */
export type Expected =
  | { readonly kind: 'nothing' }
  | { readonly kind: 'data'; readonly reading: Reading }
  | {
      readonly kind: 'statuses';
      readonly statuses: Statuses;
      /** How many contexts they are of. */
      readonly wanted: number;
    };

/** A request that was sent and is not answered in full. */
export interface Pending {
  readonly request: Readonly<RequestHeader>;
  readonly expected: Expected;
  /** The first error that the server reported; the reply may still go on. */
  error: Error | undefined;
  errorChunks: number;
  /** Shared memory that the server may use until it has answered. */
  readonly slot: Slot | undefined;
  resolve: (answer: Answer) => void;
  reject: (error: unknown) => void;
}
