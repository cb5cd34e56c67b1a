/** What a connection has been asked for so far. */
export interface Statistics {
  /** Requests taken. */
  readonly requests: number;
  /** Those of them that were answered with an error. */
  readonly failed: number;
  /** Bytes that reads have asked for. */
  readonly bytesRead: number;
  /** Bytes that came with writes. */
  readonly bytesWritten: number;
}

/** Counts them. */
export class Counters implements Statistics {
  requests = 0;
  failed = 0;
  bytesRead = 0;
  bytesWritten = 0;

  add({ requests, failed, bytesRead, bytesWritten }: Statistics): void {
    this.requests += requests;
    this.failed += failed;
    this.bytesRead += bytesRead;
    this.bytesWritten += bytesWritten;
  }
}
