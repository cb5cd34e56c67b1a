import { crc32c } from '../../../block/crc32c.ts';
import { contiguous } from '../../../block/data.ts';
import type { BlockDevice, RequestOptions } from '../../../block/device.ts';
import { damaged, unsupported } from '../damaged.ts';

const MAGIC = 0xc03b3998;
const KIND = { descriptor: 1, commit: 2, superblock1: 3, superblock2: 4, revoke: 5 } as const;
const FEATURE = {
  revoke: 1,
  is64bit: 2,
  asyncCommit: 4,
  checksum2: 8,
  checksum3: 0x10,
  fastCommit: 0x20,
};
const KNOWN = Object.values(FEATURE).reduce((bits, bit) => bits | bit, 0);
const TAG = { escaped: 1, sameUuid: 2, last: 8 } as const;
const HEADER = 12;

/** A block of the file system as the journal has it. */
export interface Replayed {
  /** Where in the journal it is, in blocks. */
  readonly at: number;
  /** Its first word is the journal's magic number, which stands there as zero. */
  readonly escaped: boolean;
}

/** What the superblock of a journal says. */
interface Journal {
  readonly device: BlockDevice;
  readonly blockSize: number;
  readonly first: number;
  /** After the last block that transactions use. */
  readonly end: number;
  readonly sequence: number;
  readonly start: number;
  readonly features: number;
  /** Of checksums of the second and third kind. */
  readonly seed: number | undefined;
  readonly fastCommits: number;
}

/** What is to be done before a file system is read. */
export interface Replay {
  /** By block of the file system. */
  readonly blocks: ReadonlyMap<number, Replayed>;
  /** Something of a kind that cannot be replayed here may be there, too. */
  readonly incomplete: boolean;
}

/**
 * What the transactions of a journal change that are complete and were not yet written to their
 * places, as jbd2 replays them: what a later transaction revokes is left out.
 * @param device the content of the journal. @throws BlockError EIO, ENOTSUP
 */
export async function readJournal(
  device: BlockDevice,
  blockSize: number,
  options?: RequestOptions,
): Promise<Replay> {
  const journal = await openJournal(device, blockSize, options);
  if (journal.start === 0) return { blocks: new Map(), incomplete: false };
  const { changes, revoked } = await scan(journal, options);
  const blocks = new Map<number, Replayed>();
  for (const { block, sequence, ...replayed } of changes) {
    const last = revoked.get(block);
    if (last === undefined || isAfter(sequence, last)) blocks.set(block, replayed);
  }
  return { blocks, incomplete: await hasFastCommits(journal, options) };
}

/** Sequences turn over. */
const isAfter = (a: number, b: number) => ((a - b) | 0) > 0;

async function readBlock(
  { device, blockSize }: Pick<Journal, 'device' | 'blockSize'>,
  at: number,
  options?: RequestOptions,
): Promise<Buffer> {
  const place = BigInt(at) * BigInt(blockSize);
  if (place + BigInt(blockSize) > device.size) {
    throw damaged('ext: journal', `block ${at} is past its end`);
  }
  return Buffer.from(contiguous(await device.read(place, blockSize, options)));
}

async function openJournal(
  device: BlockDevice,
  blockSize: number,
  options?: RequestOptions,
): Promise<Journal> {
  const bad = (why: string) => damaged('ext: superblock of the journal', why);
  const bytes = await readBlock({ device, blockSize }, 0, options);
  const u32 = (at: number) => bytes.readUInt32BE(at);
  const kind = u32(4);
  if (u32(0) !== MAGIC) throw bad('its magic number is missing');
  if (kind !== KIND.superblock1 && kind !== KIND.superblock2) throw bad(`it is of kind ${kind}`);
  if (u32(12) !== blockSize) throw bad(`its blocks have ${u32(12)} bytes`);
  const features = kind === KIND.superblock2 ? u32(40) : 0;
  const unknown = features & ~KNOWN;
  if (unknown !== 0)
    throw unsupported('ext: journal', `the feature 0x${(unknown >>> 0).toString(16)}`);
  const summed = (features & (FEATURE.checksum2 | FEATURE.checksum3)) !== 0;
  if (summed && sumWithout(~0, bytes.subarray(0, 1024), 252) !== u32(252))
    throw bad('its checksum is wrong');
  const fastCommits = features & FEATURE.fastCommit ? u32(84) || 256 : 0;
  const [blocks, first, start] = [u32(16), u32(20), u32(28)];
  const end = blocks - fastCommits;
  if (first < 1 || end <= first || BigInt(blocks) * BigInt(blockSize) > device.size) {
    throw bad(`blocks ${first} to ${end}`);
  }
  if (start !== 0 && (start < first || start >= end)) throw bad(`it begins at block ${start}`);
  const seed = summed ? crc32c(~0, bytes.subarray(48, 64)) : undefined;
  return { device, blockSize, first, end, sequence: u32(24), start, features, seed, fastCommits };
}

/** A checksum in which its own field counts as zeroes. */
function sumWithout(seed: number, bytes: Buffer, field: number): number {
  const zeroed = Buffer.from(bytes);
  zeroed.writeUInt32BE(0, field);
  return crc32c(seed, zeroed);
}

interface Change extends Replayed {
  /** Of the file system. */
  readonly block: number;
  readonly sequence: number;
}

/** Goes over the transactions up to the first that is not complete. */
async function scan(journal: Journal, options?: RequestOptions) {
  const changes: Change[] = [];
  const revoked = new Map<number, number>();
  let pending: Change[] = [];
  let revokes: number[] = [];
  let { sequence, start: at } = journal;
  const next = (place: number) => (place + 1 >= journal.end ? journal.first : place + 1);
  // A log without an end goes around no more than once.
  for (let seen = 0; seen < journal.end - journal.first; seen++) {
    const block = await readBlock(journal, at, options);
    if (block.readUInt32BE(0) !== MAGIC || block.readUInt32BE(8) !== sequence) break;
    const kind = block.readUInt32BE(4);
    at = next(at);
    if (kind === KIND.descriptor) {
      if (!isSummed(journal, block)) break;
      const tags = tagsIn(journal, block);
      for (const tag of tags) {
        if (!(await isWhole(journal, tag, at, sequence, options))) return { changes, revoked };
        pending.push({ block: tag.block, at, escaped: tag.escaped, sequence });
        at = next(at);
        seen += 1;
      }
    } else if (kind === KIND.revoke) {
      if (!isSummed(journal, block)) break;
      revokes.push(...revokesIn(journal, block));
    } else if (kind === KIND.commit) {
      if (
        journal.seed !== undefined &&
        sumWithout(journal.seed, block, 16) !== block.readUInt32BE(16)
      )
        break;
      changes.push(...pending);
      for (const one of revokes) revoked.set(one, sequence);
      pending = [];
      revokes = [];
      sequence = (sequence + 1) >>> 0;
    } else break;
  }
  return { changes, revoked };
}

/** Whether the checksum in the last four bytes of a block is right, if it has one. */
function isSummed({ seed, blockSize }: Journal, block: Buffer): boolean {
  if (seed === undefined) return true;
  return sumWithout(seed, block, blockSize - 4) === block.readUInt32BE(blockSize - 4);
}

interface Tag {
  readonly block: number;
  readonly escaped: boolean;
  readonly checksum: number;
}

function tagsIn({ features, seed, blockSize }: Journal, block: Buffer): Tag[] {
  const third = (features & FEATURE.checksum3) !== 0;
  const wide = (features & FEATURE.is64bit) !== 0;
  const size = third ? 16 : 8 + (features & FEATURE.checksum2 ? 2 : 0) + (wide ? 4 : 0);
  const end = blockSize - (seed === undefined ? 0 : 4);
  const tags: Tag[] = [];
  for (let at = HEADER; at + size <= end; ) {
    const flags = third ? block.readUInt32BE(at + 4) : block.readUInt16BE(at + 6);
    const high = wide ? block.readUInt32BE(at + 8) : 0;
    tags.push({
      block: block.readUInt32BE(at) + high * 2 ** 32,
      escaped: (flags & TAG.escaped) !== 0,
      checksum: third ? block.readUInt32BE(at + 12) : block.readUInt16BE(at + 4),
    });
    if (flags & TAG.last) break;
    at += size + (flags & TAG.sameUuid ? 0 : 16);
  }
  return tags;
}

/** Whether a block of data is what its tag says, if it says so. */
async function isWhole(
  journal: Journal,
  { checksum }: Tag,
  at: number,
  sequence: number,
  options?: RequestOptions,
): Promise<boolean> {
  if (journal.seed === undefined) return true;
  const number = Buffer.alloc(4);
  number.writeUInt32BE(sequence);
  const sum = crc32c(crc32c(journal.seed, number), await readBlock(journal, at, options));
  return checksum === (journal.features & FEATURE.checksum3 ? sum : sum & 0xffff);
}

function revokesIn({ features, seed, blockSize }: Journal, block: Buffer): number[] {
  const size = features & FEATURE.is64bit ? 8 : 4;
  const end = Math.min(block.readUInt32BE(HEADER), blockSize - (seed === undefined ? 0 : 4));
  const found: number[] = [];
  for (let at = HEADER + 4; at + size <= end; at += size) {
    found.push(size === 8 ? Number(block.readBigUInt64BE(at)) : block.readUInt32BE(at));
  }
  return found;
}

/** Whether the part for fast commits, which are changes in words of their own, is in use. */
async function hasFastCommits(journal: Journal, options?: RequestOptions): Promise<boolean> {
  if (journal.fastCommits === 0) return false;
  const head = await readBlock(journal, journal.end + 1, options);
  const HEAD_TAG = 9;
  return head.readUInt16LE(0) === HEAD_TAG && head.readUInt32LE(8) >= journal.sequence;
}
