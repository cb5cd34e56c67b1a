import { nameOf } from '../names.ts';

const TAG = {
  mountPoint: 0xa0000003,
  symlink: 0xa000000c,
  wsl: 0xa000001d,
  compressed: 0x80000017,
};
const INTERIX = Buffer.from('IntxLNK\x01', 'latin1');

/** What a reparse point makes of a file. */
export interface Reparse {
  /** Where it leads, with slashes. */
  readonly link?: string;
  /** It is compressed in a way of Windows 10. */
  readonly compressed?: boolean;
}

/** What its data says; nothing of kinds that are not known. */
export function reparseOf(data: Buffer): Reparse {
  if (data.length < 16) return {};
  const tag = data.readUInt32LE(0);
  if (tag === TAG.compressed) return { compressed: true };
  if (tag === TAG.wsl) return { link: nameOf(data.subarray(12)) };
  if (tag === TAG.symlink && data.length >= 20) return { link: pathIn(data, 20) };
  return tag === TAG.mountPoint ? { link: pathIn(data, 16) } : {};
}

/** The name that is meant, as a path of this file system. */
function pathIn(data: Buffer, names: number): string {
  const start = names + data.readUInt16LE(8);
  const text = data.toString('utf16le', start, start + data.readUInt16LE(10));
  return text
    .replace(/^\\\?\?\\/, '')
    .replace(/^[A-Za-z]:/, '')
    .replaceAll('\\', '/');
}

/** The target of a link as Interix and ntfs-3g keep it: the content of a system file. */
export function interixLink(content: Buffer): string | undefined {
  if (!content.subarray(0, INTERIX.length).equals(INTERIX)) return undefined;
  return content.toString('utf16le', INTERIX.length);
}
