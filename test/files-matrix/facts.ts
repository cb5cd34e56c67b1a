/**
 * What the kernel says of all files in a folder, in the lines of `nbdfiles ls -lR --csv`.
 * `node --import tsx facts.ts FOLDER FILE` compares it, in a machine of its own.
 */
import { createHash } from 'node:crypto';
import {
  type BigIntStats,
  closeSync,
  lstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
} from 'node:fs';
import process from 'node:process';
import { pathToFileURL } from 'node:url';

/** Options of ls that say all of it. */
export const OPTIONS = ['--uids', '--time-t', '--extra-stats', '--checksum=sha256'] as const;
/** All of it, or what is left when a file is copied elsewhere. */
export type Extent = 'all' | 'portable';

const PIECE = Buffer.alloc(1 << 20);
const TYPES = [
  ['-', 'isFile'],
  ['d', 'isDirectory'],
  ['l', 'isSymbolicLink'],
  ['c', 'isCharacterDevice'],
  ['b', 'isBlockDevice'],
  ['p', 'isFIFO'],
] as const;

/** A line for each file, as latin1, so that each byte is a character. */
export function factsOf(folder: string): string[] {
  const top = Buffer.from(folder);
  const lines: string[] = [];
  const visit = (path: Buffer) => {
    lines.push(lineOf(path, path.toString('latin1', top.length) || '/'));
    if (!lstatSync(path).isDirectory()) return;
    for (const name of readdirSync(path, { encoding: 'buffer' }))
      visit(Buffer.concat([path, Buffer.from('/'), name]));
  };
  visit(top);
  return lines;
}

/** What two file systems say differently is left out: sizes of what is no file, times but one. */
export function comparable(lines: readonly string[], extent: Extent): readonly string[] {
  if (extent === 'all') return lines;
  return lines.map(line => {
    const [type, mode, size, uid, gid, , mtime, , , , , device, , ...rest] = line.split(',');
    const own = type === '-' ? size : '';
    return [type, type === 'l' ? '' : mode, own, uid, gid, mtime, device, ...rest].join(',');
  });
}

function lineOf(path: Buffer, shown: string): string {
  const stat = lstatSync(path, { bigint: true });
  const [type] = TYPES.find(([, is]) => stat[is]()) ?? ['u'];
  const fields = [
    type,
    (stat.mode & 0o7777n).toString(8).padStart(4, '0'),
    ...[stat.size, stat.uid, stat.gid].map(String),
    ...[stat.atimeNs, stat.mtimeNs, stat.ctimeNs].map(time => String(secondsOf(time))),
    ...extraOf(stat),
    type === '-' ? sumOf(path) : '',
    shown,
  ];
  if (type === 'l') fields.push(readlinkSync(path, { encoding: 'latin1' } as never));
  return fields.map(quoted).join(',');
}

/** Whole seconds, towards the past. */
const secondsOf = (time: bigint) => BigInt(Math.floor(Number(time / 1_000_000n) / 1000));

function extraOf({ ino, nlink, rdev, blocks }: BigIntStats): string[] {
  const major = ((rdev >> 8n) & 0xfffn) | ((rdev >> 32n) & ~0xfffn);
  const minor = (rdev & 0xffn) | ((rdev >> 12n) & ~0xffn);
  return ['0:0', String(ino), String(nlink), `${major}:${minor}`, String(blocks)];
}

function sumOf(path: Buffer): string {
  const hash = createHash('sha256');
  const file = openSync(path, 'r');
  for (let length = readSync(file, PIECE); length > 0; length = readSync(file, PIECE))
    hash.update(PIECE.subarray(0, length));
  closeSync(file);
  return hash.digest('hex');
}

const quoted = (text: string) => (/[ "\n,]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

/** Prints the lines that only one side has. */
function main(folder: string, expected: string): void {
  const sides = [factsOf(folder), readFileSync(expected, 'latin1').split('\0')];
  const [here, there] = sides.map(lines => new Set(comparable(lines, 'portable')));
  for (const line of here!) if (!there!.has(line)) console.log(`mounted: ${line}`);
  for (const line of there!) if (!here!.has(line)) console.log(`expected: ${line}`);
}

if (import.meta.url === pathToFileURL(process.argv[1]!).href) {
  main(...(process.argv.slice(2) as [string, string]));
}
