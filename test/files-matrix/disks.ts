/** Disks as machines have them, with a tree on each, and what is said of it without this project. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { inMachine } from '../vm/machine.ts';
import { type Extent, factsOf } from './facts.ts';
import { type Attributes, addOddities, debian, fillAsWindows, shell } from './tree.ts';

export interface DiskKind {
  readonly programs: readonly string[];
  /** As libguestfs calls what the tree is on. */
  readonly device: string;
  /** What `filesystems --all --long` has in its lines. */
  readonly listed: readonly RegExp[];
  readonly extent: Extent;
  readonly attributes?: Attributes;
  readonly windows?: boolean;
  /** KiB by which the kernel keeps more for itself than can be read from the disk. */
  readonly reserve?: number;
  /** Makes the file `disk` in a folder. */
  make(folder: string): Promise<void>;
  /** Changes the tree on the disk of a folder by a script that runs in it. */
  change(folder: string, script: string): Promise<void>;
  /** What is said of the tree. @param look at it where it is mounted, if it can be. */
  facts(t: TestContext, folder: string, look: (tree: string) => Promise<void>): Promise<string[]>;
}

const MIB = 1 << 20;
const SIZE_MIB = 1600;
const SWAP_MIB = 64;
/** LVM without device-mapper and udev. */
const LVM = `--driverloaded n --config 'devices{use_devicesfile=0 obtain_device_list_from_udev=0
  external_device_info_source="none"} activation{udev_sync=0 udev_rules=0 monitoring=0}
  backup{backup=0 archive=0}'`;

async function fillSystem(tree: string, attributes?: Attributes): Promise<void> {
  await shell(`
    cp -a --one-file-system ${await debian()}/. ${tree}
    echo matrix > ${tree}/etc/hostname; echo 'UUID=none /none auto noauto 0 0' > ${tree}/etc/fstab`);
  await addOddities(tree, attributes);
}

/** Options of losetup for what is from there to the end of the partition. */
const within = (at: number) => `-o ${at} --sizelimit ${(SIZE_MIB - 1) * MIB - at}`;

/** A loop device of a part of the disk, as $part for as long as a script runs. */
const withPart = (folder: string, at: number, script: string) =>
  shell(`
    part=$(losetup -f --show ${within(at)} ${folder}/disk); trap 'losetup -d $part' EXIT
    ${script}`);

interface Mounting {
  /** Bytes from the start of the disk to the file system. */
  readonly at: number;
  readonly type: string;
  readonly options?: string;
}

async function inMounted<T>(
  folder: string,
  { at, type, options = 'rw' }: Mounting,
  use: (tree: string) => Promise<T>,
): Promise<T> {
  const tree = join(folder, 'mounted');
  mkdirSync(tree, { recursive: true });
  const loop = await shell(`losetup -f --show ${within(at)} ${folder}/disk`);
  try {
    await shell(`mount -t ${type} -o ${options} ${loop.trim()} ${tree}`);
    try {
      return await use(tree);
    } finally {
      await shell(`umount ${tree}`);
    }
  } finally {
    await shell(`losetup -d ${loop}`);
  }
}

/** A disk with a file system that is mounted here. @param partition makes it, of what is in $part. */
function mountable(
  { at, type, options = 'rw' }: Mounting,
  partition: string,
  {
    fill,
    ...rest
  }: Omit<DiskKind, 'make' | 'change' | 'facts'> & {
    fill(tree: string): Promise<void>;
  },
): DiskKind {
  const mounting = { at, type, options };
  return {
    ...rest,
    async make(folder) {
      await shell(`truncate -s ${SIZE_MIB}M ${folder}/disk`);
      await shell(`echo 'start=1MiB,size=${SIZE_MIB - 2}MiB' | sfdisk -q -X gpt ${folder}/disk`);
      await withPart(folder, MIB, partition);
      await inMounted(folder, mounting, fill);
    },
    change: (folder, script) =>
      inMounted(folder, mounting, async tree => {
        await shell(`cd ${tree}; ${script}`);
      }),
    facts: (_, folder, look) =>
      inMounted(folder, { ...mounting, options: `${options},ro` }, async tree => {
        await look(tree);
        return factsOf(tree);
      }),
  };
}

/** A volume group on the partition: swap, then the root in what is left. */
function inLvm(type: string, mkfs: string, options: string, attributes: Attributes): DiskKind {
  const at = MIB + MIB + SWAP_MIB * MIB;
  const length = SIZE_MIB - SWAP_MIB - 8;
  const make = `
    head -c ${MIB} /dev/zero | dd of=$part status=none
    truncate -s ${length}M $part.root
    ${mkfs} $part.root > /dev/null; dd if=$part.root of=$part bs=1M seek=${1 + SWAP_MIB} conv=sparse status=none
    rm $part.root`;
  const volumes = `
    export LVM_SUPPRESS_FD_WARNINGS=1; lvm() { command lvm "$1" ${LVM} "\${@:2}" > /dev/null; }
    lvm pvcreate -f $part; lvm vgcreate vg $part
    lvm lvcreate -an -Zn -Wn -L ${SWAP_MIB}M -n swap vg $part
    lvm lvcreate -an -Zn -Wn -L ${length}M -n root vg $part`;
  return mountable({ at, type, options }, make + volumes, {
    programs: ['sfdisk', 'losetup', 'lvm', 'debootstrap', 'setfattr', 'setfacl', `mkfs.${type}`],
    device: '/dev/vg/root',
    listed: [
      new RegExp(`^/dev/vg/root +filesystem +${type} +label `, 'm'),
      /^\/dev\/vg\/swap +lv /m,
      /^\/dev\/vg +vg /m,
      /^\/dev\/sda1 +pv /m,
    ],
    extent: 'all',
    attributes,
    ...(type === 'btrfs' && { reserve: 16 << 10 }),
    fill: tree => fillSystem(tree, attributes),
  });
}

/** The tree is made beside the disk, and the disk of it. */
const iso: DiskKind = {
  programs: ['xorriso', 'qemu-system-x86_64', 'debootstrap'],
  device: '/dev/sda',
  listed: [/^\/dev\/sda +filesystem +iso9660 +label /m],
  extent: 'portable',
  async make(folder) {
    const tree = join(folder, 'tree');
    mkdirSync(tree);
    await fillSystem(tree);
    await iso.change(folder, 'rm odd/holes odd/large');
  },
  change: async (folder, script) => {
    await shell(`cd ${folder}/tree; ${script}`);
    await shell(
      `xorriso -as mkisofs -quiet -R -V label -o ${folder}/disk ${folder}/tree 2> /dev/null`,
    );
  },
  /** Of the tree that it was made of; a machine of its own, which can mount it, finds the same. */
  async facts(t, folder) {
    const [given, tree] = [join(folder, 'given'), join(folder, 'tree')];
    const facts = factsOf(tree);
    mkdirSync(given);
    await shell(`ln ${folder}/disk ${given}`);
    writeFileSync(join(given, 'facts'), facts.join('\0'), 'latin1');
    const program = join(import.meta.dirname, 'facts.ts');
    const script = `
      mount -t iso9660 -o ro,loop /tmp/given/disk /mnt
      cd ${process.cwd()}; node --import tsx ${program} /mnt /tmp/given/facts`;
    assert.equal(await inMachine(t, script, { given }), '');
    return facts;
  },
};

/** All of a file's have to fit into a block. */
const EXT_ATTRIBUTES: Attributes = { count: 20, largest: 3000 };

export const DISKS: Readonly<Record<string, DiskKind>> = {
  ext4: mountable({ at: MIB, type: 'ext4' }, 'mke2fs -q -t ext4 -L label $part', {
    programs: ['sfdisk', 'losetup', 'mke2fs', 'debootstrap', 'setfattr', 'setfacl'],
    device: '/dev/sda1',
    listed: [
      /^\/dev\/sda1 +filesystem +ext4 +label /m,
      /^\/dev\/sda1 +partition /m,
      /^\/dev\/sda +device /m,
    ],
    extent: 'all',
    attributes: EXT_ATTRIBUTES,
    fill: tree => fillSystem(tree, EXT_ATTRIBUTES),
  }),
  'XFS in LVM': inLvm('xfs', 'mkfs.xfs -q -L label', 'nouuid', { count: 500, largest: 60_000 }),
  'btrfs in LVM': inLvm('btrfs', 'mkfs.btrfs -q -L label', 'compress=zstd', {
    count: 500,
    largest: 16_000,
  }),
  NTFS: mountable(
    { at: MIB, type: 'ntfs-3g', options: 'compression' },
    'mkntfs -q -f -L label $part',
    {
      programs: ['sfdisk', 'losetup', 'mkntfs', 'ntfs-3g'],
      device: '/dev/sda1',
      listed: [/^\/dev\/sda1 +filesystem +ntfs +label /m],
      extent: 'all',
      windows: true,
      fill: fillAsWindows,
    },
  ),
  ISO: iso,
};
