/** Permissions of somebody, in an access control list of POSIX.1e. */
export interface AclEntry {
  /** 1 owner, 2 a user, 4 group, 8 a group, 16 mask, 32 others. */
  readonly tag: number;
  readonly permissions: number;
  /** Of a user or a group. */
  readonly id: number;
}

const VERSION = 2;
const ENTRY = 8;
const NOBODY = 0xffffffff;

/** Whether entries of this kind are of somebody by number. */
export const isNamed = (tag: number): boolean => tag === 2 || tag === 8;

/** A list as extended attributes have it on Linux, whatever the file system keeps. */
export function aclBytes(entries: readonly AclEntry[]): Buffer {
  const bytes = Buffer.alloc(4 + entries.length * ENTRY);
  bytes.writeUInt32LE(VERSION);
  for (const [index, { tag, permissions, id }] of entries.entries()) {
    const at = 4 + index * ENTRY;
    bytes.writeUInt16LE(tag, at);
    bytes.writeUInt16LE(permissions, at + 2);
    bytes.writeUInt32LE(isNamed(tag) ? id : NOBODY, at + 4);
  }
  return bytes;
}
