import { BlockError, errnoOf, messageOf } from '../block/errors.ts';
import { ProtocolError } from '../protocol/errors.ts';

/** What a disk can be asked for. */
export type Operation = 'read' | 'write' | 'zero' | 'trim' | 'cache' | 'flush' | 'extents';

/**
 * Who found the fault: the `call` was wrong, the `disk` could not do it, the `connection` is lost or
 * silent, or the server does not keep to the `protocol`.
 */
export type Layer = 'call' | 'disk' | 'connection' | 'protocol';

/** What a request was, for those who have to say what became of it. */
export interface Place {
  readonly operation: Operation;
  readonly exportName: string;
  readonly offset?: bigint | undefined;
  readonly length?: number | undefined;
}

/** A call that is wrong by itself, whatever the disk is. */
export class CallError extends BlockError {
  constructor(words: string) {
    super('EINVAL', words);
  }
}

/** A request to a disk that failed. `code` and `errno` are the POSIX name, such as `ENOSPC`. */
export class DiskError extends BlockError {
  override readonly name = 'DiskError';
  readonly operation: Operation;
  /** In bytes, of the request. */
  readonly length: number | undefined;
  readonly exportName: string;
  readonly layer: Layer;

  /** @param cause what was thrown. */
  constructor(cause: unknown, { operation, exportName, offset, length }: Place, layer?: Layer) {
    const known = cause instanceof BlockError ? cause.offset : undefined;
    super(errnoOf(cause), messageOf(cause), { cause, offset: known ?? offset });
    this.operation = operation;
    this.length = length;
    this.exportName = exportName;
    this.layer = layer ?? layerOf(cause);
  }
}

const CONNECTION: ReadonlySet<string> = new Set(['ECONNRESET', 'ETIMEDOUT', 'ESHUTDOWN']);

function layerOf(error: unknown): Layer {
  if (error instanceof CallError) return 'call';
  if (error instanceof ProtocolError) return 'protocol';
  return CONNECTION.has(errnoOf(error)) ? 'connection' : 'disk';
}
