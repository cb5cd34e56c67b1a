import type { CallKind } from '../../block/around.ts';

/** Requests of one kind. */
export interface Kind {
  requests: number;
  bytes: bigint;
  /** In ms, from the request to its answer. */
  time: number;
  /** By the power of two that is in their length. */
  readonly sizes: Map<number, Size>;
}

/** Requests of about one size. */
export interface Size {
  requests: number;
  bytes: bigint;
  /** How many there are by the power of two that their offset is a multiple of; offset 0 of any. */
  readonly alignments: Map<number, number>;
}

const ANY = Number.POSITIVE_INFINITY;

/** What was asked for. */
export class Tally {
  readonly kinds = new Map<CallKind, Kind>();

  /** A request that has succeeded. @param time in ms. */
  add(kind: CallKind, offset: bigint, length: number, time: number): void {
    const own = getOr(this.kinds, kind, () => ({
      requests: 0,
      bytes: 0n,
      time: 0,
      sizes: new Map(),
    }));
    own.requests += 1;
    own.bytes += BigInt(length);
    own.time += time;
    if (length === 0) return;
    const size = getOr(own.sizes, Math.floor(Math.log2(length)), () => ({
      requests: 0,
      bytes: 0n,
      alignments: new Map(),
    }));
    size.requests += 1;
    size.bytes += BigInt(length);
    const alignment = alignmentOf(offset);
    size.alignments.set(alignment, (size.alignments.get(alignment) ?? 0) + 1);
  }
}

function alignmentOf(offset: bigint): number {
  if (offset === 0n) return ANY;
  const low = Number(offset & 0xffffffffn);
  return low === 0 ? 32 + alignmentOf(offset >> 32n) : 31 - Math.clz32(low & -low);
}

function getOr<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  let value = map.get(key);
  if (value === undefined) {
    value = make();
    map.set(key, value);
  }
  return value;
}
