import { BlockError } from '../../block/errors.ts';
import { harmless } from '../../protocol/text.ts';

/** The text that says what a disk is made of. */
export interface Descriptor {
  readonly text: string;
  /** Changes whenever what is on the disk does. */
  readonly cid: number;
  /** That of the disk behind this one when this one was made; NO_PARENT: there is none. */
  readonly parentCid: number;
  readonly createType: string;
  readonly parentHint: string | undefined;
  readonly extents: readonly ExtentLine[];
}

/** A part of the disk. */
export interface ExtentLine {
  readonly access: 'RW' | 'RDONLY' | 'NOACCESS';
  /** Bytes. */
  readonly size: number;
  readonly type: string;
  readonly name: string | undefined;
  /** Where in the file it begins, in bytes. */
  readonly offset: number;
}

export const NO_PARENT = 0xffff_ffff;
export const SECTOR = 512;
/** Longer than any that somebody has made. */
export const MOST_TEXT = 1 << 20;
const MOST_EXTENTS = 4096;
const EXTENT =
  /^(RW|RDONLY|NOACCESS)[ \t]+(\d{1,16})[ \t]+([A-Z]+)(?:[ \t]+"([^"]*)"(?:[ \t]+(\d{1,16}))?)?/;

export const wrong = (what: string) => new BlockError('EINVAL', `vmdk: ${what}`);

/** @throws BlockError EINVAL */
export function parseDescriptor(bytes: Buffer): Descriptor {
  const end = bytes.indexOf(0);
  const text = bytes.toString('latin1', 0, end < 0 ? bytes.length : end);
  if (!/^[\s]*(#[^\n]*\n\s*)*# Disk DescriptorFile/i.test(text)) {
    throw wrong('the descriptor does not begin as one');
  }
  const value = (key: string) =>
    new RegExp(`^[ \\t]*${key}[ \\t]*=[ \\t]*"?([^"\\r\\n]*)"?`, 'im').exec(text)?.[1]?.trim();
  const cid = (key: string, none: number) => {
    const word = value(key);
    if (word === undefined) return none;
    if (/^[\da-f]{1,8}$/i.test(word)) return Number.parseInt(word, 16);
    throw wrong(`${key}: '${harmless(word)}' is no number of 32 bits`);
  };
  const extents = text.split(/\r?\n/).flatMap(line => extentOf(line.trim()) ?? []);
  if (extents.length > MOST_EXTENTS) throw wrong(`${extents.length} extents`);
  return {
    text,
    cid: cid('CID', 0),
    parentCid: cid('parentCID', NO_PARENT),
    createType: value('createType') ?? '',
    parentHint: value('parentFileNameHint') || undefined,
    extents,
  };
}

function extentOf(line: string): ExtentLine | undefined {
  if (!/^(RW|RDONLY|NOACCESS)[ \t]/.test(line)) return undefined;
  const [, access, sectors, type = '', name, offset] = EXTENT.exec(line) ?? [];
  const bytes = Number(sectors) * SECTOR;
  const start = Number(offset ?? 0) * SECTOR;
  const invalid = () =>
    new BlockError('EINVAL', `Invalid extent line: ${harmless(line.slice(0, 200))}`);
  if (!access || !Number.isSafeInteger(bytes) || !Number.isSafeInteger(start + bytes)) {
    throw invalid();
  }
  if (name === undefined && type !== 'ZERO') throw invalid();
  const wantsOffset = { FLAT: true, VMFS: false }[type];
  if (wantsOffset !== undefined && wantsOffset !== (offset !== undefined)) throw invalid();
  return { access: access as ExtentLine['access'], size: bytes, type, name, offset: start };
}

/** The same text with another identity of what is on the disk. */
export function withCid(text: string, cid: number): string {
  return text.replace(/^([ \t]*CID[ \t]*=[ \t]*)[\da-f]*/im, `$1${hex(cid)}`);
}

const hex = (value: number) => value.toString(16).padStart(8, '0');

/** What a new disk is made of. */
export interface Plan {
  readonly cid: number;
  readonly parentCid: number;
  readonly createType: string;
  readonly parentHint: string | undefined;
  readonly extents: readonly string[];
  readonly size: bigint;
  readonly adapter: string;
  readonly hardware: string;
  readonly tools: string;
}

/** As qemu writes them, which all programs read. */
export function descriptorText(plan: Plan): string {
  const heads = plan.adapter === 'ide' ? 16 : 255;
  const cylinders = plan.size / BigInt(63 * heads * SECTOR);
  return [
    '# Disk DescriptorFile',
    'version=1',
    `CID=${hex(plan.cid)}`,
    `parentCID=${hex(plan.parentCid)}`,
    `createType="${plan.createType}"`,
    ...(plan.parentHint === undefined ? [] : [`parentFileNameHint="${plan.parentHint}"`]),
    '',
    '# Extent description',
    ...plan.extents,
    '',
    '# The Disk Data Base',
    '#DDB',
    '',
    `ddb.virtualHWVersion = "${plan.hardware}"`,
    `ddb.geometry.cylinders = "${cylinders}"`,
    `ddb.geometry.heads = "${heads}"`,
    'ddb.geometry.sectors = "63"',
    `ddb.adapterType = "${plan.adapter}"`,
    `ddb.toolsVersion = "${plan.tools}"`,
    '',
  ].join('\n');
}
