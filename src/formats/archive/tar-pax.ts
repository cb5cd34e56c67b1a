import { bad, type TarRun } from './tar-header.ts';

/** What extended headers say of the files that follow, and where GNU's formats say that data is. */
export interface PaxFields {
  readonly values: ReadonlyMap<string, string>;
  /** Numbers of GNU.sparse.offset and GNU.sparse.numbytes, which may come again and again. */
  readonly runs: readonly number[];
}

export const NO_FIELDS: PaxFields = { values: new Map(), runs: [] };

/** Records of the form `LENGTH KEY=VALUE\n`. @throws BlockError EIO they are damaged. */
export function readPax(bytes: Buffer): PaxFields {
  const values = new Map<string, string>();
  const runs: number[] = [];
  for (let at = 0; at < bytes.length && bytes[at] !== 0; ) {
    const digits = /^\d{1,15} /.exec(bytes.toString('latin1', at, at + 16))?.[0] ?? '';
    const end = at + Number(digits);
    const equals = bytes.indexOf('=', at);
    const fits = digits !== '' && end <= bytes.length && equals > at && equals < end;
    if (!fits || bytes[end - 1] !== 0x0a) throw bad('an extended header is damaged');
    const key = bytes.toString('utf8', at + digits.length, equals);
    const value = bytes.toString('utf8', equals + 1, end - 1);
    if (key === 'GNU.sparse.offset' || key === 'GNU.sparse.numbytes') runs.push(wholeNumber(value));
    else values.set(key, value);
    at = end;
  }
  return { values, runs };
}

/** Pairs of numbers as runs. @throws BlockError EIO there is half a pair. */
export function runsOf(numbers: readonly number[]): TarRun[] {
  if (numbers.length % 2 !== 0) throw bad('the map of a sparse file is damaged');
  const runs: TarRun[] = [];
  for (let at = 0; at < numbers.length; at += 2) {
    runs.push({ offset: numbers[at]!, length: numbers[at + 1]! });
  }
  return runs;
}

/** @throws BlockError EIO it is none. */
export function wholeNumber(text: string): number {
  const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isSafeInteger(value)) return value;
  throw bad('a number in an extended header is damaged');
}
