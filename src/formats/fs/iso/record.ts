import { damaged } from '../damaged.ts';
import { textOf } from './descriptor.ts';

const FLAG = { hidden: 1, directory: 2, more: 0x80 } as const;
const HEAD = 33;

/** A part of a file that lies in one piece. */
export interface Extent {
  /** In blocks. */
  readonly block: number;
  /** In bytes. */
  readonly length: number;
}

/** A directory record. */
export interface Record {
  /** As it stands there; `\0` is the directory itself, `\u0001` its parent. */
  readonly name: string;
  readonly extent: Extent;
  readonly directory: boolean;
  /** The file goes on in the next record. */
  readonly more: boolean;
  /** Nanoseconds since 1970. */
  readonly time: bigint;
  /** Where it is on the device. */
  readonly place: number;
  /** What follows the name: entries of the System Use Sharing Protocol. */
  readonly systemUse: Buffer;
}

/** @throws BlockError EIO */
export function recordAt(bytes: Buffer, at: number, place: number, joliet: boolean): Record {
  const what = 'iso: directory record';
  const length = bytes[at]!;
  if (length < HEAD + 1 || at + length > bytes.length)
    throw damaged(what, `it has ${length} bytes`);
  const record = bytes.subarray(at, at + length);
  const nameLength = record[32]!;
  const end = HEAD + nameLength;
  if (end > length) throw damaged(what, 'its name is longer than it');
  const special = nameLength === 1 && record[HEAD]! <= 1;
  const flags = record[25]!;
  return {
    name: textOf(record.subarray(HEAD, end), joliet && !special),
    extent: { block: record.readUInt32LE(2) + record[1]!, length: record.readUInt32LE(10) },
    directory: (flags & FLAG.directory) !== 0,
    more: (flags & FLAG.more) !== 0,
    time: shortTime(record.subarray(18, 25)),
    place,
    systemUse: record.subarray(Math.min(length, end + (nameLength % 2 === 0 ? 1 : 0))),
  };
}

/** Seven bytes: year from 1900, month, day, hour, minute, second, and quarters of an hour to UTC. */
export function shortTime(bytes: Buffer): bigint {
  const [year, month, day, hour, minute, second] = bytes;
  const local = Date.UTC(1900 + year!, month! - 1, day!, hour!, minute!, second!);
  return BigInt(local - bytes.readInt8(6) * 15 * 60_000) * 1_000_000n;
}

/** Without the version and the dot that stands for no extension; in lower case, as the kernel shows it. */
export function plainName(name: string): string {
  return name.replace(/;\d*$/, '').replace(/\.$/, '').toLowerCase();
}

/** The same of Joliet, which has a case. */
export function jolietName(name: string): string {
  return name.replace(/;\d*$/, '').replace(/\.$/, '');
}
