import { BlockError } from '../../block/errors.ts';
import { harmless } from '../../protocol/text.ts';
import { EXTENSION, type Extension, parseExtensions, writeExtensions } from './extensions.ts';

/** The first cluster of a qcow2 image, understood. Sizes and offsets in bytes. */
export interface Header {
  version: 2 | 3;
  readonly clusterBits: number;
  /** Of the disk. */
  size: bigint;
  /** 0: none, 1: AES, 2: LUKS. */
  readonly crypt: number;
  l1Entries: number;
  l1Offset: number;
  refcountOffset: number;
  /** Of the refcount table. */
  refcountClusters: number;
  snapshots: number;
  snapshotsOffset: number;
  incompatible: bigint;
  compatible: bigint;
  autoclear: bigint;
  /** Bits of a refcount are 2 to this power. */
  refcountOrder: number;
  readonly compression: 'zlib' | 'zstd';
  /** Fields behind those that are known, kept as they are. */
  readonly tail: Buffer;
  extensions: Extension[];
  /** The name of the backing file, as it stands there. */
  backing: string | undefined;
}

export const MAGIC = 0x514649fb;
export const INCOMPATIBLE = {
  dirty: 1n,
  corrupt: 2n,
  dataFile: 4n,
  compression: 8n,
  extendedL2: 16n,
} as const;
export const LAZY_REFCOUNTS = 1n;
/** Ways to encrypt. */
export const [AES, LUKS] = [1, 2] as const;
export const AUTOCLEAR = { bitmaps: 1n, rawDataFile: 2n } as const;

const KNOWN = Object.values(INCOMPATIBLE).reduce((all, bit) => all | bit, 0n);
const V2_BYTES = 72;
/** Of version 3, with all fields that are known. */
const V3_BYTES = 112;
/** Disks that would need more are too large for any table. */
const MOST_L1_ENTRIES = 2 ** 31 - 1;
const MOST_L1_BYTES = 32 << 20;
const MOST_REFCOUNT_TABLE = 8 << 20;
export const MOST_SNAPSHOTS = 65536;
const MOST_NAME = 1023;

const wrong = (words: string) => new BlockError('EIO', words);

/** The cluster size that a header tells of. @throws BlockError EIO it is none of a qcow2 image. */
export function clusterBitsOf(head: Buffer): number {
  if (head.length < V2_BYTES || head.readUInt32BE(0) !== MAGIC) {
    throw wrong('Image is not in qcow2 format');
  }
  const version = head.readUInt32BE(4);
  if (version !== 2 && version !== 3) throw wrong(`Unsupported qcow2 version ${version}`);
  const bits = head.readUInt32BE(20);
  if (bits < 9 || bits > 21) throw wrong(`Unsupported cluster size: 2^${bits}`);
  return bits;
}

/**
 * Understands a header. @param cluster all of the first cluster.
 * @param checking what only makes it impossible to write is allowed, to be repaired.
 * @throws BlockError EIO what is wrong with it; ENOTSUP a feature that is not known.
 */
export function parseHeader(cluster: Buffer, checking = false): Header {
  const clusterBits = clusterBitsOf(cluster);
  const version = cluster.readUInt32BE(4) as 2 | 3;
  const clusterSize = 2 ** clusterBits;
  const length = version === 2 ? V2_BYTES : cluster.readUInt32BE(100);
  if (version === 3 && length < 104) throw wrong('qcow2 header too short');
  if (length > clusterSize) throw wrong('qcow2 header exceeds cluster size');
  const backingOffset = cluster.readBigUInt64BE(8);
  if (backingOffset > BigInt(clusterSize)) throw wrong('Invalid backing file offset');
  const end = backingOffset > 0n ? Number(backingOffset) : clusterSize;
  const extensions = parseExtensions(cluster.subarray(length, Math.max(length, end)));
  const v3 = (at: number) => (version === 3 ? cluster.readBigUInt64BE(at) : 0n);
  const incompatible = v3(72);
  refuseUnknown(incompatible & ~KNOWN, extensions);
  const header: Header = {
    version,
    clusterBits,
    size: cluster.readBigUInt64BE(24),
    crypt: cluster.readUInt32BE(32),
    l1Entries: cluster.readUInt32BE(36),
    l1Offset: numberAt(cluster, 40, 'Active L1 table offset invalid'),
    refcountOffset: numberAt(cluster, 48, 'Invalid reference count table offset'),
    refcountClusters: cluster.readUInt32BE(56),
    snapshots: cluster.readUInt32BE(60),
    snapshotsOffset: numberAt(cluster, 64, 'Snapshot table offset invalid'),
    incompatible,
    compatible: v3(80),
    autoclear: v3(88),
    refcountOrder: version === 3 ? cluster.readUInt32BE(96) : 4,
    compression: compressionOf(cluster, length, incompatible),
    tail: Buffer.from(cluster.subarray(Math.min(V3_BYTES, length), version === 3 ? length : 0)),
    extensions,
    backing: backingOf(cluster, Number(backingOffset)),
  };
  check(header, checking);
  return header;
}

function refuseUnknown(unknown: bigint, extensions: readonly Extension[]): void {
  if (unknown === 0n) return;
  const names = extensions.flatMap(extension => extension.features ?? []);
  let rest = unknown;
  const words = names.flatMap(({ kind, bit, name }) => {
    if (kind !== 0 || !((rest >> BigInt(bit)) & 1n)) return [];
    rest &= ~(1n << BigInt(bit));
    return [harmless(name)];
  });
  if (rest !== 0n) words.push(`Unknown incompatible feature: ${rest.toString(16)}`);
  throw new BlockError('ENOTSUP', `Unsupported qcow2 feature(s): ${words.join(', ')}`);
}

function compressionOf(cluster: Buffer, length: number, incompatible: bigint): 'zlib' | 'zstd' {
  const type = length > 104 ? cluster[104]! : 0;
  if ((type !== 0) !== ((incompatible & INCOMPATIBLE.compression) !== 0n)) {
    const words = type === 0 ? 'must not be set' : 'must be set';
    throw wrong(`qcow2: Compression type incompatible feature bit ${words}`);
  }
  if (type > 1) throw new BlockError('ENOTSUP', `qcow2: unknown compression type: ${type}`);
  return type === 1 ? 'zstd' : 'zlib';
}

function backingOf(cluster: Buffer, offset: number): string | undefined {
  if (offset === 0) return undefined;
  const length = cluster.readUInt32BE(16);
  if (length > Math.min(MOST_NAME, cluster.length - offset))
    throw wrong('Backing file name too long');
  return cluster.toString('utf8', offset, offset + length);
}

function numberAt(cluster: Buffer, at: number, words: string): number {
  const value = cluster.readBigUInt64BE(at);
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw wrong(words);
  return Number(value);
}

function check(header: Header, checking: boolean): void {
  const { clusterBits, version, size, crypt, l1Entries, l1Offset, snapshots } = header;
  const clusterSize = 2 ** clusterBits;
  const aligned = (offset: number) => offset % clusterSize === 0;
  if (header.refcountOrder > 6) {
    throw wrong('Reference count entry width too large; may not exceed 64 bits');
  }
  if (crypt > 2) throw wrong(`Unsupported encryption method ${crypt}`);
  if (header.incompatible & INCOMPATIBLE.extendedL2 && clusterBits < 14) {
    throw wrong(
      'Extended L2 entries are only supported with cluster sizes of at least 16384 bytes',
    );
  }
  if (header.refcountClusters === 0 && !checking) {
    throw wrong('Image does not contain a reference count table');
  }
  const tableBytes = header.refcountClusters * clusterSize;
  if (tableBytes > MOST_REFCOUNT_TABLE)
    throw wrong(
      'Image does not contain a reference count table of a sensible size: Reference count table too large',
    );
  if (!aligned(header.refcountOffset)) throw wrong('Reference count table offset invalid');
  if (snapshots > MOST_SNAPSHOTS && !checking) throw wrong('Snapshot table too large');
  if (!aligned(header.snapshotsOffset)) throw wrong('Snapshot table offset invalid');
  if (l1Entries * 8 > MOST_L1_BYTES) throw wrong('Active L1 table too large');
  if (!aligned(l1Offset)) throw wrong('Active L1 table offset invalid');
  if (l1EntriesFor(header, size) > MOST_L1_ENTRIES) throw wrong('Image is too big');
  if (l1Entries < l1EntriesFor(header, size)) throw wrong('L1 table is too small');
  if (size > 2n ** 63n - 1n) throw wrong('Image is too big');
  if (version === 2 && header.compression !== 'zlib') throw wrong('Unsupported compression');
}

/** Bytes of an L2 entry. */
export const entryBytes = ({ incompatible }: Pick<Header, 'incompatible'>) =>
  incompatible & INCOMPATIBLE.extendedL2 ? 16 : 8;

/** Bytes of the disk that an L2 table maps. */
export function bytesOfTable(header: Pick<Header, 'incompatible' | 'clusterBits'>): bigint {
  const clusterSize = 2n ** BigInt(header.clusterBits);
  return (clusterSize * clusterSize) / BigInt(entryBytes(header));
}

/** Entries of the L1 table that a disk needs. */
export function l1EntriesFor(
  header: Pick<Header, 'incompatible' | 'clusterBits'>,
  size: bigint,
): number {
  const each = bytesOfTable(header);
  return Number((size + each - 1n) / each);
}

/**
 * The first cluster of an image with this header.
 * @throws BlockError ENOSPC when what it has to say does not fit.
 */
export function writeHeader(header: Header): Buffer {
  const clusterSize = 2 ** header.clusterBits;
  const fields = Buffer.alloc(header.version === 3 ? V3_BYTES : V2_BYTES);
  fields.writeUInt32BE(MAGIC, 0);
  fields.writeUInt32BE(header.version, 4);
  fields.writeUInt32BE(header.clusterBits, 20);
  fields.writeBigUInt64BE(header.size, 24);
  fields.writeUInt32BE(header.crypt, 32);
  fields.writeUInt32BE(header.l1Entries, 36);
  fields.writeBigUInt64BE(BigInt(header.l1Offset), 40);
  fields.writeBigUInt64BE(BigInt(header.refcountOffset), 48);
  fields.writeUInt32BE(header.refcountClusters, 56);
  fields.writeUInt32BE(header.snapshots, 60);
  fields.writeBigUInt64BE(BigInt(header.snapshotsOffset), 64);
  if (header.version === 3) {
    fields.writeBigUInt64BE(header.incompatible, 72);
    fields.writeBigUInt64BE(header.compatible, 80);
    fields.writeBigUInt64BE(header.autoclear, 88);
    fields.writeUInt32BE(header.refcountOrder, 96);
    fields.writeUInt32BE(V3_BYTES + header.tail.length, 100);
    fields[104] = header.compression === 'zstd' ? 1 : 0;
  }
  const name = Buffer.from(header.backing ?? '');
  const beforeName = (extensions: readonly Extension[]) =>
    Buffer.concat([fields, header.tail, writeExtensions(extensions)]);
  let before = beforeName(header.extensions);
  if (before.length + name.length > clusterSize) {
    // The names of features are there for people only.
    before = beforeName(header.extensions.filter(({ type }) => type !== EXTENSION.featureNames));
  }
  if (before.length + name.length > clusterSize) {
    throw new BlockError('ENOSPC', 'the header of the image has no room for all it has to say');
  }
  if (header.backing !== undefined) {
    before.writeBigUInt64BE(BigInt(before.length), 8);
    before.writeUInt32BE(name.length, 16);
  }
  return Buffer.concat([before, name], clusterSize);
}
