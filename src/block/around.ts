import { andThen } from './answer.ts';
import type { BlockDevice, ExtentsOptions, ReadOptions, ZeroOptions } from './device.ts';
import { PASS, type Wrapping, wrapDevice } from './wrap.ts';

export type CallKind = 'read' | 'write' | 'zero' | 'trim' | 'cache' | 'extents' | 'flush';

/** The kinds that change what is there. */
export const CHANGES: readonly CallKind[] = ['write', 'zero', 'trim'];
/** The kinds that have a place: all but flushes. */
export const PLACED: readonly CallKind[] = ['read', ...CHANGES, 'cache', 'extents'];

/** A request as a filter sees it that watches, delays or forbids. */
export interface Call {
  readonly kind: CallKind;
  /** In bytes; 0 for a flush, which has no place. */
  readonly offset: bigint;
  /** In bytes; 0 for a flush. */
  readonly length: number;
  /** The bytes of a write. */
  readonly data?: Uint8Array;
  /** The metadata context that is asked for, when it is another one than that of extents. */
  readonly context?: string;
  readonly options: Readonly<ZeroOptions & ExtentsOptions & ReadOptions> | undefined;
}

/** What a filter does with a call: `act` makes it, and its answer is the call's. */
export type Around = <T>(call: Call, act: () => T | PromiseLike<T>) => T | PromiseLike<T>;

/**
 * The device with something around its calls. A filter that has to do with writes sees all of them,
 * as none goes into lent memory; one that has to do with extents sees other contexts, too.
 * @param kinds those that it has to do with; the others pass.
 */
export function around(
  below: BlockDevice,
  handle: Around,
  kinds: readonly CallKind[] = [...PLACED, 'flush'],
): BlockDevice {
  const has = (kind: CallKind) => kinds.includes(kind) && below[kind] !== undefined;
  const required = below as Required<BlockDevice>;
  const own: { -readonly [M in keyof Wrapping]: Wrapping[M] } = { ...PASS };
  for (const kind of ['zero', 'trim', 'cache', 'extents'] as const) {
    if (!has(kind)) continue;
    own[kind] = ((offset: bigint, length: number, options: Call['options']) =>
      handle<unknown>({ kind, offset, length, options }, () =>
        required[kind](offset, length, options),
      )) as never;
  }
  if (has('read')) {
    own.read = (offset, length, options) =>
      handle({ kind: 'read', offset, length, options }, () => below.read(offset, length, options));
  }
  if (has('write')) {
    own.write = (offset, data, options) =>
      handle({ kind: 'write', offset, length: data.length, data, options }, () =>
        required.write(offset, data, options),
      );
  }
  if (has('flush')) {
    own.flush = options =>
      handle({ kind: 'flush', offset: 0n, length: 0, options }, () => required.flush(options));
  }
  if (kinds.includes('extents') && below.contexts) {
    own.contexts = below.contexts.map(context => ({
      name: context.name,
      status: (offset, length, options) =>
        handle({ kind: 'extents', offset, length, options, context: context.name }, () =>
          context.status(offset, length, options),
        ),
    }));
  }
  return wrapDevice(below, own);
}

/**
 * The device with a check before its calls, which may wait, or throw to refuse the call.
 * @param kinds those that are checked.
 */
export function before(
  below: BlockDevice,
  check: (call: Call) => void | PromiseLike<void>,
  kinds?: readonly CallKind[],
): BlockDevice {
  return around(below, (call, act) => andThen(check(call), act), kinds);
}
