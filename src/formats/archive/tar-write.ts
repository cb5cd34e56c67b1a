import { SECTOR } from './tar-header.ts';

/** A member of an archive, as its header tells of it. */
export interface TarMember {
  /** As it is in the archive: bytes without a zero. */
  readonly name: Buffer;
  readonly type: TarType;
  /** 12 bits. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Bytes that follow the header. */
  readonly size: bigint;
  /** Seconds since 1970. */
  readonly mtime: bigint;
  /** Where a link leads. */
  readonly link?: Buffer | undefined;
  readonly device?: { readonly major: number; readonly minor: number } | undefined;
  /** Names and values of extended attributes, kept as GNU tar and bsdtar do. */
  readonly attributes?: readonly (readonly [name: Buffer, value: Buffer])[] | undefined;
}

export type TarType =
  | 'file'
  | 'hardlink'
  | 'symlink'
  | 'character'
  | 'block'
  | 'directory'
  | 'fifo';

const FLAGS: Readonly<Record<TarType, string>> = {
  file: '0',
  hardlink: '1',
  symlink: '2',
  character: '3',
  block: '4',
  directory: '5',
  fifo: '6',
};
const PAX = 'x';
const NAME = 100;
const NONE = Buffer.alloc(0);
const ZEROES = Buffer.alloc(SECTOR);

/** The header of a member, with one of POSIX.1-2001 before it for what has no room. */
export function tarHeader(member: TarMember): Buffer {
  const records: Buffer[] = [];
  const { name, link = NONE, size, mtime, uid, gid } = member;
  if (name.length > NAME) records.push(record('path', name));
  if (link.length > NAME) records.push(record('linkpath', link));
  if (size >= 8n ** 11n) records.push(record('size', Buffer.from(String(size))));
  if (mtime < 0n || mtime >= 8n ** 11n) records.push(record('mtime', Buffer.from(String(mtime))));
  if (uid >= 8 ** 7) records.push(record('uid', Buffer.from(String(uid))));
  if (gid >= 8 ** 7) records.push(record('gid', Buffer.from(String(gid))));
  for (const [key, value] of member.attributes ?? [])
    records.push(record(attributeKey(key), value));
  const own = ustar(member, FLAGS[member.type]);
  if (records.length === 0) return own;
  const extended = Buffer.concat(records);
  const named = { ...member, name: Buffer.from('././@PaxHeader'), link: undefined };
  const head = ustar({ ...named, size: BigInt(extended.length), mtime: 0n }, PAX);
  return Buffer.concat([head, extended, tarPadding(BigInt(extended.length)), own]);
}

/** What fills up the last sector of so many bytes. */
export function tarPadding(size: bigint): Buffer {
  return ZEROES.subarray(0, Number(-size & BigInt(SECTOR - 1)));
}

/** Two empty sectors, filled up to the 10 KiB in which tar writes. @param written bytes before. */
export function tarEnd(written: bigint): Buffer {
  const least = written + BigInt(2 * SECTOR);
  const blocks = 20n * BigInt(SECTOR);
  return Buffer.alloc(Number(((least + blocks - 1n) / blocks) * blocks - written));
}

/** As the key ends with the first equals sign, one in a name is written otherwise. */
function attributeKey(name: Buffer): Buffer {
  const text = name.toString('latin1').replaceAll('%', '%25').replaceAll('=', '%3D');
  return Buffer.from(`SCHILY.xattr.${text}`, 'latin1');
}

/** `LENGTH KEY=VALUE\n`, where the length counts its own digits. */
function record(key: string | Buffer, value: Buffer): Buffer {
  const rest = key.length + value.length + 3;
  let length = rest + String(rest).length;
  if (String(length).length !== String(rest).length) length += 1;
  return Buffer.concat([
    Buffer.from(`${length} `),
    Buffer.from(key),
    Buffer.from('='),
    value,
    Buffer.from('\n'),
  ]);
}

function ustar(member: TarMember, flag: string): Buffer {
  const bytes = Buffer.allocUnsafe(SECTOR).fill(0);
  const { name, link = NONE, device } = member;
  const octal = (value: bigint | number, at: number, length: number) => {
    const digits = value.toString(8);
    const fits = value >= 0 && digits.length < length;
    bytes.write((fits ? digits : '').padStart(length - 1, '0'), at, 'latin1');
  };
  name.copy(bytes, 0, 0, NAME);
  octal(member.mode, 100, 8);
  octal(member.uid, 108, 8);
  octal(member.gid, 116, 8);
  octal(member.size, 124, 12);
  octal(member.mtime, 136, 12);
  bytes.write(`        ${flag}`, 148, 'latin1');
  link.copy(bytes, 157, 0, NAME);
  bytes.write('ustar\x0000', 257, 'latin1');
  if (device) {
    octal(device.major, 329, 8);
    octal(device.minor, 337, 8);
  }
  let sum = 0;
  for (let at = 0; at < SECTOR; at++) sum += bytes[at]!;
  bytes.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return bytes;
}
