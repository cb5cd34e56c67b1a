import type { RequestOptions } from '../../../block/device.ts';
import { damaged } from '../damaged.ts';
import type { Pages } from '../pages.ts';

export const SECTOR = 2048;
const FIRST = 16;
/** Descriptors in a row; there are three or four. */
const MOST = 32;
const KIND = { primary: 1, supplementary: 2, end: 255 } as const;
/** Escape sequences that stand for UCS-2, at three levels. */
const JOLIET = ['%/@', '%/C', '%/E'];

/** What a volume descriptor says. */
export interface Descriptor {
  readonly joliet: boolean;
  readonly blockSize: number;
  /** Of the volume. */
  readonly blocks: number;
  /** The record of the root directory. */
  readonly root: Buffer;
  readonly label: string;
  readonly uuid: string | undefined;
}

/** Whether a device begins as ISO 9660. */
export function isDescriptor(start: Buffer): boolean {
  return start.toString('latin1', FIRST * SECTOR + 1, FIRST * SECTOR + 6) === 'CD001';
}

/** The primary descriptor, and the one of Joliet where there is one. @throws BlockError EIO */
export async function readDescriptors(
  pages: Pages,
  options?: RequestOptions,
): Promise<Descriptor[]> {
  const found: Descriptor[] = [];
  for (let sector = FIRST; sector < FIRST + MOST; sector++) {
    const bytes = await pages.structure('iso: volume descriptor', sector * SECTOR, SECTOR, options);
    if (bytes.toString('latin1', 1, 6) !== 'CD001') break;
    const kind = bytes[0]!;
    if (kind === KIND.end) break;
    const joliet = kind === KIND.supplementary && JOLIET.includes(bytes.toString('latin1', 88, 91));
    if (kind === KIND.primary || joliet) found.push(descriptorOf(bytes, joliet));
  }
  if (!found.some(({ joliet }) => !joliet))
    throw damaged('iso: volume descriptor', 'there is no primary one');
  return found;
}

function descriptorOf(bytes: Buffer, joliet: boolean): Descriptor {
  const blockSize = bytes.readUInt16LE(128);
  if (![512, 1024, 2048].includes(blockSize)) {
    throw damaged('iso: volume descriptor', `blocks of ${blockSize} bytes`);
  }
  return {
    joliet,
    blockSize,
    blocks: bytes.readUInt32LE(80),
    root: bytes.subarray(156, 190),
    label: textOf(bytes.subarray(40, 72), joliet).replace(/[ \0]+$/, ''),
    uuid: dateText(bytes.subarray(830, 846)) ?? dateText(bytes.subarray(813, 829)),
  };
}

/** Names of Joliet are UCS-2, big-endian. */
export function textOf(bytes: Buffer, joliet: boolean): string {
  if (!joliet) return bytes.toString('latin1');
  const even = Buffer.from(bytes.subarray(0, bytes.length - (bytes.length % 2)));
  return even.swap16().toString('utf16le');
}

/** The time of the last change is what tells images apart. */
function dateText(bytes: Buffer): string | undefined {
  const digits = bytes.toString('latin1');
  if (!/^\d{16}$/.test(digits) || /^0*$/.test(digits)) return undefined;
  return digits.replace(/^(\d{4})(..)(..)(..)(..)(..)(..)$/, '$1-$2-$3-$4-$5-$6-$7');
}
