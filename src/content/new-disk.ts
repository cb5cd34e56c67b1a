import { closeSync, ftruncateSync, openSync } from 'node:fs';
import { UsageError } from '../block/errors.ts';
import type { ParameterDeclaration, RawParameter } from '../declare/parameters.ts';
import { runProgram } from '../posix/program.ts';

/** The parameters of plugins that make disks for their clients. */
export const DISK_PARAMETERS = {
  size: { type: 'size', required: true, bare: true, help: 'Size of each disk' },
  type: { type: 'string', default: 'ext4', help: 'File system, as mkfs -t has them' },
  label: { type: 'string', default: '', help: 'Label of the file system' },
  command: { type: 'string', help: 'Shell commands that make "$disk", in place of mkfs' },
} as const satisfies Readonly<Record<string, ParameterDeclaration>>;

/** What a new disk is to be. */
interface Wishes {
  readonly size: bigint;
  readonly type: string;
  readonly label: string;
  readonly command: string | undefined;
}

/** Options for overwriting without questions, and the one for the label, where it is not -L. */
const MKFS: readonly (readonly [types: RegExp, options: readonly string[], label?: string])[] = [
  [/^ext\d$/, ['-F']],
  [/^(v?fat|msdos)$/, ['-I'], '-n'],
  [/^ntfs$/, ['-Q', '-F']],
  [/^(xfs|btrfs)$/, ['-f']],
  [/^f2fs$/, ['-f'], '-l'],
];

/** Makes a disk in a file that is not there yet, and gives what the programs had to say. */
export type MakeDisk = (path: string) => Promise<string>;

/**
 * How to make disks by these parameters.
 * @param extra more variables for the command.
 * @throws UsageError
 */
export function diskMaker(wishes: Wishes, extra: readonly RawParameter[]): MakeDisk {
  const { size, type, label, command } = wishes;
  for (const { key = '' } of extra) {
    if (key === 'disk') throw new UsageError('disk: its value is not yours to choose');
    if (command === undefined || !/^[A-Za-z_]\w*$/.test(key)) throw unknownParameter(key);
  }
  if (command === undefined) {
    if (!/^\w[\w.-]*$/.test(type))
      throw new UsageError(`type: '${type}': expected one such as ext4`);
    return path => makeFileSystem(path, wishes);
  }
  const given = Object.fromEntries(extra.map(({ key, value }) => [key, value]));
  const variables = { ...given, size: String(size), type, label };
  const words = ['-c', command, 'command'];
  return disk => runProgram('sh', words, { variables: { ...variables, disk }, name: 'command' });
}

function unknownParameter(key: string): UsageError {
  const known = Object.keys(DISK_PARAMETERS).join(', ');
  return new UsageError(
    `unknown parameter '${key}': expected one of ${known}, or with command the name of a variable`,
  );
}

async function makeFileSystem(path: string, { size, type, label }: Wishes): Promise<string> {
  const fd = openSync(path, 'wx');
  try {
    ftruncateSync(fd, Number(size));
  } finally {
    closeSync(fd);
  }
  const [, options, labelOption] = MKFS.find(([types]) => types.test(type)) ?? [type, []];
  const labelled = label === '' ? [] : [labelOption ?? '-L', label];
  return runProgram(`mkfs.${type}`, [...options, ...labelled, path]);
}
