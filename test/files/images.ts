/** File systems with a tree in them, as the programs of the system make them, without a mount. */
import {
  lstatSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { runWell } from '../interop/programs.ts';
import { makeTree, type TreeOptions } from './sources.ts';

export interface Kind extends TreeOptions {
  /** What has to be installed. */
  readonly programs: readonly string[];
  /** As FileSystem says. */
  readonly type: string;
  make(tree: string, image: string): Promise<void>;
  /** It has to be mounted, which not every machine can. */
  readonly mounted?: boolean;
}

const POSIX = { posix: true, oddNames: true } as const;
const MIB = 1 << 20;

function ext(type: string, ...options: readonly string[]): Kind {
  return {
    ...POSIX,
    programs: ['mke2fs'],
    type,
    async make(tree, image) {
      await runWell('mke2fs', [
        '-q',
        '-F',
        '-t',
        type,
        '-L',
        'label',
        ...options,
        '-d',
        tree,
        image,
        '6M',
      ]);
    },
  };
}

function fat(bits: number, size: number): Kind {
  return {
    posix: false,
    oddNames: true,
    programs: ['mkfs.vfat', 'mcopy'],
    type: 'vfat',
    async make(tree, image) {
      writeFileSync(image, '');
      truncateSync(image, size);
      await runWell('mkfs.vfat', ['-F', String(bits), '-n', 'label', image]);
      const names = readdirSync(tree).map(name => join(tree, name));
      const env = { LC_ALL: 'C.UTF-8', MTOOLS_SKIP_CHECK: '1', TZ: 'UTC' };
      await runWell('mcopy', ['-i', image, '-s', '-m', '-Q', ...names, '::/'], { env });
    },
  };
}

function iso(options: readonly string[], form: TreeOptions): Kind {
  return {
    ...form,
    programs: ['genisoimage'],
    type: 'iso9660',
    async make(tree, image) {
      const env = { LC_ALL: 'C.UTF-8' };
      await runWell('genisoimage', ['-quiet', '-V', 'label', ...options, '-o', image, tree], {
        env,
      });
    },
  };
}

function squashfs(compression: string): Kind {
  return {
    ...POSIX,
    programs: ['mksquashfs'],
    type: 'squashfs',
    async make(tree, image) {
      await runWell('mksquashfs', [
        tree,
        image,
        '-quiet',
        '-no-progress',
        '-comp',
        compression,
        '-b',
        '16K',
      ]);
    },
  };
}

/** In an inode, in a block, and in blocks of their own. */
const XFS_ATTRIBUTES = `path /size-1\nattr_set -v 9 short\nattr_set -s -v 20 secure
path /size-30\nattr_set -v 900 a\nattr_set -v 900 b\nattr_set -v 9000 large\n`;

function xfs(...options: readonly string[]): Kind {
  return {
    posix: true,
    oddNames: false,
    programs: ['mkfs.xfs', 'xfs_db'],
    type: 'xfs',
    async make(tree, image) {
      const prototype = `${image}.prototype`;
      writeFileSync(
        prototype,
        ['boot', '0 0', 'd--755 0 0', ...prototypeOf(tree), '$', ''].join('\n'),
      );
      writeFileSync(image, '');
      truncateSync(image, 300 * MIB);
      await runWell('mkfs.xfs', ['-q', '-L', 'label', '-p', prototype, ...options, image]);
      // On version 4 it may crash.
      if (!options.includes('crc=0'))
        await runWell('xfs_db', ['-x', image], { input: XFS_ATTRIBUTES });
    },
  };
}

const btrfs: Kind = {
  ...POSIX,
  programs: ['mkfs.btrfs'],
  type: 'btrfs',
  async make(tree, image) {
    writeFileSync(image, '');
    truncateSync(image, 128 * MIB);
    await runWell('mkfs.btrfs', ['-q', '-L', 'label', '-m', 'single', '--rootdir', tree, image]);
  },
};

const ntfs: Kind = {
  posix: false,
  oddNames: true,
  programs: ['mkntfs', 'ntfs-3g'],
  type: 'ntfs',
  mounted: true,
  async make(tree, image) {
    writeFileSync(image, '');
    truncateSync(image, 16 * MIB);
    await runWell('mkntfs', ['-q', '-F', '-L', 'label', '-c', '4096', image]);
    const folder = `${image}.mounted`;
    mkdirSync(folder);
    await runWell('ntfs-3g', ['-o', 'loop,compression', image, folder]);
    try {
      await runWell('cp', ['-r', '--sparse=always', '--preserve=timestamps', `${tree}/.`, folder]);
    } finally {
      await runWell('umount', [folder]);
    }
  },
};

/** A tree in the words of mkfs.xfs. */
function prototypeOf(folder: string): string[] {
  return readdirSync(folder).flatMap(name => {
    const path = join(folder, name);
    const stat = lstatSync(path);
    const mode = `${stat.mode & 0o4000 ? 'u' : '-'}-${(stat.mode & 0o777).toString(8).padStart(3, '0')}`;
    if (stat.isDirectory()) return [`${name} d${mode} 0 0`, ...prototypeOf(path), '$'];
    if (stat.isSymbolicLink()) return [`${name} l--777 0 0 ${readlinkSync(path)}`];
    return [`${name} -${mode} 0 0 ${path}`];
  });
}

/** All that are read, under names for tests. */
export const KINDS: Readonly<Record<string, Kind>> = {
  ext2: ext('ext2', '-b', '1024'),
  ext3: ext('ext3', '-b', '1024', '-J', 'size=1'),
  ext4: ext('ext4', '-O', 'metadata_csum,inline_data', '-J', 'size=4', '-b', '4096'),
  'ext4 without checksums': ext('ext4', '-O', '^metadata_csum,^has_journal', '-b', '1024'),
  xfs: xfs(),
  'xfs v4': xfs('-m', 'crc=0'),
  btrfs,
  ntfs,
  fat12: fat(12, 4 * MIB),
  fat16: fat(16, 20 * MIB),
  fat32: fat(32, 40 * MIB),
  'iso with Rock Ridge': iso(['-R'], POSIX),
  'iso with Joliet': iso(['-J', '-joliet-long'], { posix: false, oddNames: true }),
  'squashfs gzip': squashfs('gzip'),
  'squashfs xz': squashfs('xz'),
  'squashfs zstd': squashfs('zstd'),
  'squashfs lzo': squashfs('lzo'),
  'squashfs lz4': squashfs('lz4'),
};

/** Makes the tree and the image in a folder. @returns their paths; undefined: it cannot be mounted. */
export async function makeImage(
  folder: string,
  kind: Kind,
): Promise<{ readonly tree: string; readonly image: string } | undefined> {
  const tree = join(folder, 'tree');
  const image = join(folder, 'image');
  mkdirSync(tree, { recursive: true });
  makeTree(tree, kind);
  try {
    await kind.make(tree, image);
  } catch (error) {
    if (kind.mounted) return undefined;
    throw error;
  }
  return { tree, image };
}
