/** The part of a disk that `--offset` and `--length` name. */
import { naming, UsageError } from '../block/errors.ts';
import { parseSize } from '../block/size.ts';
import type { Options } from './cli.ts';

export const RANGE_OPTIONS = {
  length: { names: ['l', 'length'], value: 'required' },
  offset: { names: ['o', 'offset'], value: 'required' },
} as const satisfies Options;

/** From one offset to another, in bytes. */
export interface Range {
  readonly from: bigint;
  readonly to: bigint;
}

type Given = readonly { readonly key: string; readonly value: string | undefined }[];

/**
 * What the options say of a disk of some size: all of it from the offset on, cut to the length and
 * to the end of the disk.
 * @throws UsageError a size that is none; from the answer, an offset past the end.
 */
export function rangeOf(given: Given): (size: bigint) => Range {
  const from = sizeOf(given, 'offset') ?? 0n;
  const length = sizeOf(given, 'length');
  return size => {
    if (from > size) {
      throw new UsageError(
        `--offset: ${from} is past the end of the disk, which has ${size} bytes`,
      );
    }
    const to = length === undefined || length > size - from ? size : from + length;
    return { from, to };
  };
}

function sizeOf(given: Given, key: string): bigint | undefined {
  const text = given.findLast(option => option.key === key)?.value;
  return text === undefined ? undefined : naming(`--${key}`, () => parseSize(text));
}

export const smaller = (a: bigint, b: bigint) => (a < b ? a : b);
