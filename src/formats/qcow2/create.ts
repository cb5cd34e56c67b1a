import type { BlockDevice } from '../../block/device.ts';
import { BlockError, UsageError } from '../../block/errors.ts';
import { sliceDevice } from '../../block/slice.ts';
import type { OpenImage } from '../../images/image.ts';
import { ImageFile } from '../../images/image-file.ts';
import { bytesBeforeData, type CreateOptions, createLuks, innerCipherOf } from '../inner-luks.ts';
import { writeCount } from './counts.ts';
import { EXTENSION, withExtension } from './extensions.ts';
import { type Header, l1EntriesFor, writeHeader } from './header.ts';
import { headerFor, isEncrypted, type Options } from './options.ts';

const TOO_LARGE =
  "The image size is too large for file format 'qcow2' (try using a larger cluster size)";

/** The clusters of the tables of an image that holds nothing, one after the other. */
interface Layout {
  /** Of the reference count table, its blocks and the L1 table, in clusters. */
  readonly table: number;
  readonly blocks: number;
  readonly l1: number;
  /** Of the header of LUKS. */
  readonly crypto: number;
}

/**
 * Makes an empty image in a file. @param size of the disk, in bytes.
 * @throws UsageError options that do not go together; BlockError ENOSPC a disk that is too large.
 */
export async function createQcow2(
  below: BlockDevice,
  size: bigint,
  options: Options,
  context: OpenImage,
): Promise<Header> {
  const header = headerFor(size, options);
  const clusterSize = 2 ** header.clusterBits;
  header.l1Entries = l1EntriesFor(header, header.size);
  if (header.l1Entries * 8 > 32 << 20) throw new BlockError('ENOSPC', TOO_LARGE);
  const luks = isEncrypted(options) ? await luksOptions(options, context) : undefined;
  const layout = layoutFor(header, luks ? bytesBeforeData(luks) : 0);
  header.refcountOffset = clusterSize;
  header.refcountClusters = layout.table;
  header.l1Offset = (1 + layout.table + layout.blocks) * clusterSize;
  const cryptoAt = (1 + layout.table + layout.blocks + layout.l1) * clusterSize;
  const end = cryptoAt / clusterSize + layout.crypto;
  const file = new ImageFile(below);
  file.end = 0;
  await file.grow(end * clusterSize);
  const blocksAt = (1 + layout.table) * clusterSize;
  await file.write(BigInt(blocksAt), blocksFor(header, end, layout.blocks));
  const table = Buffer.alloc(layout.table * clusterSize);
  for (let block = 0; block < layout.blocks; block++) {
    table.writeBigUInt64BE(BigInt(blocksAt + block * clusterSize), block * 8);
  }
  await file.write(BigInt(header.refcountOffset), table);
  await file.zero(header.l1Offset, layout.l1 * clusterSize);
  if (luks) {
    const length = bytesBeforeData(luks);
    await createLuks(sliceDevice(file.device, BigInt(cryptoAt), BigInt(length)), luks);
    header.extensions = withExtension(
      header.extensions,
      EXTENSION.crypto,
      cryptoField(cryptoAt, length),
    );
  }
  await file.write(0n, writeHeader(header));
  await file.trimEnd();
  await file.flush();
  return header;
}

/** Where something of so many bytes is. */
function cryptoField(at: number, length: number): Buffer {
  const field = Buffer.alloc(16);
  field.writeBigUInt64BE(BigInt(at), 0);
  field.writeBigUInt64BE(BigInt(length), 8);
  return field;
}

async function luksOptions(options: Options, { secret }: OpenImage): Promise<CreateOptions> {
  if (!secret) throw new UsageError('the image is encrypted, and no passphrase was given');
  return { passphrase: await secret(), ...innerCipherOf(options) };
}

/** @param cryptoBytes of the header of LUKS. */
function layoutFor(header: Header, cryptoBytes: number): Layout {
  const clusterSize = 2 ** header.clusterBits;
  const perBlock = (clusterSize * 8) / 2 ** header.refcountOrder;
  const l1 = Math.ceil((header.l1Entries * 8) / clusterSize);
  const crypto = Math.ceil(cryptoBytes / clusterSize);
  let layout = { table: 1, blocks: 1, l1, crypto };
  for (;;) {
    const all = 1 + layout.table + layout.blocks + l1 + crypto;
    const blocks = Math.ceil(all / perBlock);
    const table = Math.ceil((blocks * 8) / clusterSize);
    if (blocks === layout.blocks && table === layout.table) return layout;
    layout = { table, blocks, l1, crypto };
  }
}

/** Blocks of counters in which so many clusters, from the first on, are in use. */
function blocksFor(header: Header, clusters: number, blocks: number): Buffer {
  const bytes = Buffer.alloc(blocks * 2 ** header.clusterBits);
  for (let index = 0; index < clusters; index++) writeCount(bytes, index, header.refcountOrder, 1);
  return bytes;
}
