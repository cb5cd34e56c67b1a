import { andThen } from '../../block/answer.ts';
import type { BlockDevice } from '../../block/device.ts';
import { BlockError, UsageError } from '../../block/errors.ts';
import { depthContext } from '../../images/chain.ts';
import { defineFormat, type Image, type ImageFacts, type OpenImage } from '../../images/image.ts';
import { ImageFile } from '../../images/image-file.ts';
import { type Bytes, mappedDevice } from '../../images/mapped-device.ts';
import type { Mapping } from '../../images/run.ts';
import { innerLuks } from '../inner-luks.ts';
import { aesClusters } from './aes.ts';
import { AMEND_OPTIONS, amendQcow2 } from './amend.ts';
import { readBitmaps, type StoredBitmap } from './bitmap-directory.ts';
import { Qcow2Bitmaps } from './bitmaps.ts';
import { checkQcow2 } from './check.ts';
import { Clusters } from './clusters.ts';
import { compressedDevice } from './compressed.ts';
import { createQcow2 } from './create.ts';
import { cryptoHeader, EXTENSION, textOf } from './extensions.ts';
import {
  AES,
  AUTOCLEAR,
  clusterBitsOf,
  type Header,
  INCOMPATIBLE,
  LAZY_REFCOUNTS,
  parseHeader,
} from './header.ts';
import { L1 } from './l1.ts';
import { measureQcow2 } from './measure.ts';
import { OPTIONS } from './options.ts';
import { PackedClusters } from './packed.ts';
import { preallocate } from './preallocate.ts';
import { Refcounts } from './refcounts.ts';
import { resizeQcow2, setBacking } from './reshape.ts';
import { readSnapshots, type StoredSnapshot } from './snapshot-table.ts';
import { find, l1Of, snapshotsOf } from './snapshots.ts';
import { type State, saveHeader } from './state.ts';

export const qcow2 = defineFormat({
  name: 'qcow2',
  open: openQcow2,
  options: OPTIONS,
  amendOptions: AMEND_OPTIONS,
  create: async (file, size, options, context) => {
    const header = await createQcow2(file, size, options, context);
    const { preallocation, data_file, data_file_raw } = options;
    if (preallocation === 'off' && !data_file_raw) return;
    const apart =
      data_file === undefined ? undefined : await context.neighbours.file(data_file, false);
    try {
      await preallocate(file, header, preallocation, apart && new ImageFile(apart));
    } finally {
      await apart?.close?.();
    }
  },
  measure: measureQcow2,
});

const KNOWN_AUTOCLEAR = AUTOCLEAR.bitmaps | AUTOCLEAR.rawDataFile;

/** Opens a qcow2 image. @throws BlockError what is wrong with it */
async function openQcow2(below: BlockDevice, context: OpenImage): Promise<Image> {
  const file = new ImageFile(below);
  const header = await readHeader(file, context);
  const writable = file.writable && !context.readOnly;
  if (writable && header.incompatible & INCOMPATIBLE.corrupt && !context.checking) {
    throw new BlockError('EROFS', 'qcow2: Image is corrupt; cannot be opened read/write');
  }
  if (writable && header.crypt === AES) {
    throw new BlockError('EROFS', 'images with the unsafe encryption AES are only read');
  }
  const { snapshots, bytes: snapshotBytes } = await readSnapshots(file, header);
  const backing = await backingOf(header, context);
  try {
    const dataFile = await dataFileOf(header, context, writable);
    const state = await stateOf(
      { file, header, snapshots, snapshotBytes, backing, writable, dataFile },
      context,
    );
    const data = await dataOf(state, dataFile, context);
    if (writable && header.incompatible & INCOMPATIBLE.dirty && !context.checking) {
      await checkQcow2(state, 'all');
    }
    const bitmaps = new Qcow2Bitmaps(state, await readBitmaps(file, header));
    if (writable) await forgetUnknown(state);
    return imageOf(state, { backing, data, bitmaps, writable }, context);
  } catch (error) {
    await backing?.device.close?.();
    throw error;
  }
}

interface Found {
  readonly file: ImageFile;
  readonly header: Header;
  readonly snapshots: readonly StoredSnapshot[];
  readonly snapshotBytes: number;
  readonly backing: Image | undefined;
  readonly writable: boolean;
  readonly dataFile: ImageFile | undefined;
}

/** The bytes of clusters, in the clear. */
interface DataBytes {
  readonly data: Bytes;
  /** The disk where clusters are encrypted by where they are on it. */
  readonly sealed?: Pick<BlockDevice, 'read'>;
  close?(): void | Promise<void>;
}

/** The file that has the data where the image has none. */
async function dataFileOf(
  { extensions, incompatible }: Header,
  { alone, neighbours }: OpenImage,
  writable: boolean,
): Promise<ImageFile | undefined> {
  if (!(incompatible & INCOMPATIBLE.dataFile) || alone) return undefined;
  const name = textOf(extensions, EXTENSION.dataFile);
  if (name === undefined) throw new BlockError('EINVAL', "'data-file' is required for this image");
  return new ImageFile(await neighbours.file(name, !writable));
}

async function dataOf(
  state: State,
  dataFile: ImageFile | undefined,
  context: OpenImage,
): Promise<DataBytes> {
  const bytes = await clearData(state, dataFile, context);
  if (!dataFile) return bytes;
  const close = async () => {
    await bytes.close?.();
    await dataFile.trimEnd();
    await dataFile.close();
  };
  return { ...bytes, close };
}

async function clearData(
  { clusters, file, header }: State,
  dataFile: ImageFile | undefined,
  { alone, secret }: OpenImage,
): Promise<DataBytes> {
  if (header.crypt === 0 || alone) return { data: dataFile ?? file };
  if (!secret) throw new UsageError('the image is encrypted, and no passphrase was given');
  if (header.crypt === AES) {
    return { data: file, sealed: aesClusters(file, clusters, await secret()) };
  }
  const crypto = cryptoHeader(header);
  if (!crypto) throw new BlockError('EIO', 'the image has no header of LUKS');
  return innerLuks(file, crypto, await secret(), dataFile);
}

async function stateOf(
  { file, header, snapshots, snapshotBytes, backing, writable, dataFile }: Found,
  { snapshot, checking }: OpenImage,
): Promise<State> {
  let l1 = await L1.read(file, header.l1Offset, header.l1Entries);
  if (snapshot !== undefined) {
    const found = find({ snapshots }, snapshot);
    l1 = await l1Of({ file, header }, found);
    header.size = found.diskSize;
  }
  // Whoever only reads needs no counters, and writes nothing without them.
  const counts = writable || checking ? await Refcounts.open(file, header) : undefined;
  const backed = backing !== undefined;
  const clusters = new Clusters({
    file,
    header,
    l1,
    refcounts: counts,
    backed,
    dataFile,
    checking: checking || !writable,
  });
  return { file, header, clusters, refcounts: counts!, snapshots, snapshotBytes };
}

/** What programs are to forget that do not know of it. */
async function forgetUnknown(state: State): Promise<void> {
  const { header } = state;
  if (!(header.autoclear & ~KNOWN_AUTOCLEAR)) return;
  header.autoclear &= KNOWN_AUTOCLEAR;
  await saveHeader(state);
}

interface Parts {
  readonly backing: Image | undefined;
  readonly data: DataBytes;
  readonly bitmaps: Qcow2Bitmaps;
  readonly writable: boolean;
}

function imageOf(
  state: State,
  { backing, data: { data, sealed, close }, bitmaps, writable }: Parts,
  context: OpenImage,
): Image {
  const { clusters, file, header } = state;
  const packed = new PackedClusters(file, clusters.cluster, header.compression, offset =>
    clusters.packedPlace(offset),
  );
  clusters.packedGone = place => packed.forget(place);
  const disk: BlockDevice = mappedDevice({
    mapping: sealed ? sealedMapping(clusters) : clusters,
    data,
    packed: sealed ?? packed,
    backing: backing?.device,
    allocation: writable ? clusters : undefined,
    preferred: clusters.cluster,
    contexts: [depthContext(() => image), ...bitmaps.contexts()],
    resize: size => resize(state, { device: disk, backing, bitmaps }, size),
    close: async () => {
      try {
        if (writable) {
          if (bitmaps.isChanged) await bitmaps.save();
          await clusters.close();
          await file.trimEnd();
        }
      } finally {
        await close?.();
        await file.close();
      }
    },
  });
  const device = writable ? bitmaps.tracked(disk) : disk;
  const image: Image = {
    format: 'qcow2',
    device,
    get facts() {
      return factsOf(state, bitmaps);
    },
    backing,
    find: (offset, length) => clusters.find(offset, length),
    check: repair => checkQcow2(state, repair),
    bitmaps,
    ...(writable && {
      ...(header.crypt === 0 &&
        !(header.incompatible & INCOMPATIBLE.dataFile) && {
          compressed: compressedDevice(device, state),
        }),
      snapshots: snapshotsOf(state),
      amend: (words, amending) => amendQcow2(state, words, context, amending),
      setBacking: (name, format) => setBacking(state, name, format),
      empty: async () => {
        await clusters.forget(0n, header.size);
        await clusters.flush();
      },
    }),
  };
  return image;
}

/** Data is not to be read where it lies. */
function sealedMapping(clusters: Clusters): Mapping {
  return {
    size: clusters.size,
    find: (offset, length) =>
      andThen(clusters.find(offset, length), run =>
        run.kind === 'data' ? { ...run, kind: 'packed' } : run,
      ),
  };
}

/** What is new reads as zeroes, also where the backing file is longer than the disk was. */
async function resize(
  state: State,
  { device, backing, bitmaps }: Pick<Parts, 'backing' | 'bitmaps'> & { device: BlockDevice },
  size: bigint,
): Promise<void> {
  const before = state.header.size;
  await bitmaps.resize(size);
  await resizeQcow2(state, size);
  const behind = backing?.device.size ?? 0n;
  const end = behind < size ? behind : size;
  for (let at = before; at < end; ) {
    const length = Number(end - at < 1n << 30n ? end - at : 1n << 30n);
    await device.zero?.(at, length, { mayTrim: true });
    at += BigInt(length);
  }
}

async function readHeader(file: ImageFile, { checking }: OpenImage): Promise<Header> {
  const head = await file.bytes(0, 512);
  return parseHeader(await file.bytes(0, 2 ** clusterBitsOf(head)), checking);
}

async function backingOf(
  header: Header,
  { alone, neighbours }: OpenImage,
): Promise<Image | undefined> {
  if (header.backing === undefined || header.backing === '' || alone) return undefined;
  return neighbours.image(header.backing, textOf(header.extensions, EXTENSION.backingFormat));
}

function factsOf({ header, snapshots }: State, { names }: Qcow2Bitmaps): ImageFacts {
  const { backing, extensions, incompatible, version } = header;
  const format = textOf(extensions, EXTENSION.backingFormat);
  const dataFile = textOf(extensions, EXTENSION.dataFile);
  return {
    clusterSize: 2 ** header.clusterBits,
    encrypted: header.crypt !== 0,
    dirty: (incompatible & INCOMPATIBLE.dirty) !== 0n,
    backing: backing === undefined ? undefined : { name: backing, format },
    snapshots,
    specific: {
      compat: version === 3 ? '1.1' : '0.10',
      ...(version === 3 && {
        'compression-type': header.compression,
        'lazy-refcounts': (header.compatible & LAZY_REFCOUNTS) !== 0n,
        ...(names.length > 0 && { bitmaps: names.map(bitmapFacts) }),
        'refcount-bits': 2 ** header.refcountOrder,
        ...(dataFile !== undefined && { 'data-file': dataFile }),
        ...(dataFile !== undefined && {
          'data-file-raw': (header.autoclear & AUTOCLEAR.rawDataFile) !== 0n,
        }),
        corrupt: (incompatible & INCOMPATIBLE.corrupt) !== 0n,
        'extended-l2': (incompatible & INCOMPATIBLE.extendedL2) !== 0n,
      }),
      ...(version === 2 && { 'compression-type': 'zlib', 'refcount-bits': 16 }),
    },
  };
}

function bitmapFacts({ name, granularity, auto, inUse }: StoredBitmap) {
  const flags = [...(inUse ? ['in-use'] : []), ...(auto ? ['auto'] : [])];
  return { flags, name, granularity };
}
