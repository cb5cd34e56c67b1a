import { damaged } from '../damaged.ts';
import type { Stat } from '../file-system.ts';
import { typeOfMode } from '../posix-mode.ts';

const LENGTH = 160;

/** What an inode item says. @param sector bytes, in which space is counted. @throws BlockError EIO */
export function statOf(number: bigint, item: Buffer, sector: bigint): Stat {
  if (item.length < LENGTH) throw damaged(`btrfs: inode ${number}`, 'it is cut short');
  const mode = item.readUInt32LE(52);
  const type = typeOfMode(mode);
  const time = (at: number) =>
    item.readBigInt64LE(at) * 1_000_000_000n + BigInt(item.readUInt32LE(at + 8));
  const device = item.readBigUInt64LE(56);
  const special = type === 'character' || type === 'block';
  return {
    type,
    mode: mode & 0o7777,
    links: item.readUInt32LE(40),
    uid: item.readUInt32LE(44),
    gid: item.readUInt32LE(48),
    size: item.readBigUInt64LE(16),
    blocks: ((item.readBigUInt64LE(24) + sector - 1n) / sector) * (sector / 512n),
    atime: time(112),
    ctime: time(124),
    mtime: time(136),
    inode: number,
    device: special
      ? { major: Number((device >> 20n) & 0xfffn), minor: Number(device & 0xfffffn) }
      : undefined,
  };
}
