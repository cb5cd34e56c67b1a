import type { FileType, Node, Stat } from '../../formats/fs/file-system.ts';
import { dateOf } from './listing.ts';

export const TYPE_LETTERS: Readonly<Record<FileType, string>> = {
  file: '-',
  directory: 'd',
  character: 'c',
  block: 'b',
  fifo: 'p',
  symlink: 'l',
  socket: 's',
  unknown: 'u',
};

/** Blocks of 1024 bytes of all files together. */
export function totalOf(stats: readonly Stat[]): bigint {
  return stats.reduce((sum, { blocks }) => sum + blocks, 0n) / 2n;
}

/** A line of `ls -l`. @param stats those of all lines, which have columns in common. */
export async function longLine(name: string, node: Node, stats: readonly Stat[]): Promise<string> {
  const column = (cell: (stat: Stat) => string) => {
    const width = Math.max(...stats.map(each => cell(each).length));
    return { start: cell(node.stat).padEnd(width), end: cell(node.stat).padStart(width) };
  };
  const target = node.stat.type === 'symlink' ? ` -> ${await node.readlink()}` : '';
  return [
    TYPE_LETTERS[node.stat.type] + permissions(node.stat.mode),
    column(stat => String(stat.links)).end,
    column(stat => owner(stat.uid)).start,
    column(stat => owner(stat.gid)).start,
    column(sizeOf).end,
    dateOf(node.stat.mtime).slice(0, -3),
    name + target,
  ].join(' ');
}

const owner = (id: number) => (id === 0 ? 'root' : String(id));

function sizeOf({ size, device }: Stat): string {
  return device ? `${device.major}, ${device.minor}` : String(size);
}

function permissions(mode: number): string {
  const letters = [6, 3, 0].map((shift, index) => {
    const bits = (mode >> shift) & 7;
    const special = (mode >> (11 - index)) & 1;
    const letter = index === 2 ? 't' : 's';
    const execute = bits & 1 ? (special ? letter : 'x') : special ? letter.toUpperCase() : '-';
    return `${bits & 4 ? 'r' : '-'}${bits & 2 ? 'w' : '-'}${execute}`;
  });
  return letters.join('');
}
