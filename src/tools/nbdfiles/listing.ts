import { UsageError } from '../../block/errors.ts';
import type { Stat } from '../../formats/fs/file-system.ts';
import type { Place } from '../../formats/fs/tree.ts';
import type { Option } from '../cli.ts';
import type { FilesLine } from './commands.ts';
import { checksumNamed, checksumOf } from './content.ts';
import { csvField } from './fields.ts';
import { humanReadable } from './human.ts';
import { TYPE_LETTERS } from './long-listing.ts';
import { has, lastValue } from './sources.ts';

/** Options of what is said of each file, as ls -lR and diff have them. */
export const LISTING_OPTIONS = {
  checksum: { names: ['checksum'], value: 'optional' },
  csv: { names: ['csv'] },
  extraStats: { names: ['extra-stats'] },
  human: { names: ['h', 'human-readable'] },
  times: { names: ['times'] },
  timeDays: { names: ['time-days'] },
  timeRelative: { names: ['time-relative'] },
  timeT: { names: ['time-t'] },
  uids: { names: ['uids'] },
} as const satisfies Record<string, Option>;

const SECOND = 1_000_000_000n;
const DAY = 86_400n;

/** Nanoseconds since 1970 as `2026-11-27 18:00:00`, in the zone of this machine. */
export function dateOf(time: bigint): string {
  const date = new Date(Number(secondsOf(time)) * 1000);
  const two = (value: number) => String(value).padStart(2, '0');
  const day = [date.getFullYear(), date.getMonth() + 1, date.getDate()].map(two).join('-');
  return `${day} ${[date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(':')}`;
}

/** Whole seconds, towards the past. */
function secondsOf(time: bigint): bigint {
  return time >= 0n ? time / SECOND : -((-time + SECOND - 1n) / SECOND);
}

export interface ListingChoices {
  /** Whether times of access are among the times. */
  readonly atime?: boolean;
  readonly uids?: boolean;
  readonly times?: boolean;
  readonly extraStats?: boolean;
  /** Names and values, where they are wanted. */
  readonly attributes?: boolean;
}

/**
 * What makes the line of a file: type, permissions, size, and what else the options ask for.
 * @throws UsageError options that exclude each other.
 */
export function listingOf(
  line: FilesLine,
  {
    atime = true,
    uids = has(line, 'uids'),
    extraStats = has(line, 'extraStats'),
    times = ['times', 'timeDays', 'timeRelative', 'timeT'].some(key => has(line, key)),
    attributes = false,
  }: ListingChoices = {},
): (place: Place) => Promise<string> {
  const csv = has(line, 'csv');
  if (csv && has(line, 'human'))
    throw new UsageError('you cannot use -h and --csv options together');
  const checksum = has(line, 'checksum') ? checksumNamed(lastValue(line, 'checksum')) : undefined;
  const wide = (text: string, width: number) => (csv ? text : text.padStart(width));
  const time = timeFormat(line, wide);
  return async ({ path, node }) => {
    const { stat } = node;
    const size = has(line, 'human') ? humanReadable(stat.size) : String(stat.size);
    const fields = [
      TYPE_LETTERS[stat.type],
      stat.mode.toString(8).padStart(4, '0'),
      wide(size, 10),
    ];
    if (uids) fields.push(...[stat.uid, stat.gid].map(id => wide(String(id), 4)));
    if (times) fields.push(...timesOf(stat, atime).map(time));
    if (extraStats) fields.push(...extraOf(stat));
    if (checksum && stat.type === 'file') fields.push(await checksumOf(node, checksum));
    else if (checksum && csv) fields.push('');
    fields.push(path);
    if (stat.type === 'symlink') fields.push(`${csv ? '' : '-> '}${await node.readlink()}`);
    if (attributes) {
      for (const [name, value] of (await node.attributes?.()) ?? [])
        fields.push(name, printable(value));
    }
    return csv ? fields.map(csvField).join(',') : fields.join(' ');
  };
}

function timesOf({ atime, mtime, ctime }: Stat, withAccess: boolean): bigint[] {
  return withAccess ? [atime, mtime, ctime] : [mtime, ctime];
}

/** Device, inode, links, what a device file stands for, blocks. */
function extraOf({ inode, links, device, blocks }: Stat): string[] {
  const stands = device ? `${device.major}:${device.minor}` : '0:0';
  return ['0:0', String(inode), String(links), stands, String(blocks)];
}

function timeFormat(line: FilesLine, wide: (text: string, width: number) => string) {
  const now = BigInt(Math.floor(Date.now() / 1000));
  if (has(line, 'timeT')) return (time: bigint) => wide(String(secondsOf(time)), 10);
  if (has(line, 'timeRelative')) return (time: bigint) => wide(String(now - secondsOf(time)), 8);
  if (has(line, 'timeDays'))
    return (time: bigint) => wide(String((now - secondsOf(time)) / DAY), 3);
  return dateOf;
}

function printable(value: Buffer): string {
  return Array.from(value, byte =>
    byte >= 0x20 && byte < 0x7f
      ? String.fromCharCode(byte)
      : `\\x${byte.toString(16).padStart(2, '0')}`,
  ).join('');
}
