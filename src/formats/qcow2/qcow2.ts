import type { BlockDevice } from '../../block/device.ts';
import { BlockError } from '../../block/errors.ts';
import { defineFormat, type Image, type ImageFacts, type OpenImage } from '../../images/image.ts';
import { ImageFile } from '../../images/image-file.ts';
import { mappedDevice } from '../../images/mapped-device.ts';
import { Clusters } from './clusters.ts';
import { EXTENSION, textOf } from './extensions.ts';
import { clusterBitsOf, type Header, INCOMPATIBLE, parseHeader } from './header.ts';
import { L1 } from './l1.ts';
import { PackedClusters } from './packed.ts';
import { Refcounts } from './refcounts.ts';

export const qcow2 = defineFormat({
  name: 'qcow2',
  open: openQcow2,
});

/** Opens a qcow2 image. @throws BlockError what is wrong with it */
async function openQcow2(below: BlockDevice, context: OpenImage): Promise<Image> {
  const file = new ImageFile(below);
  const header = await readHeader(file, context);
  const writable = file.writable && !context.readOnly;
  if (writable && header.incompatible & INCOMPATIBLE.corrupt) {
    throw new BlockError('EROFS', 'qcow2: Image is corrupt; cannot be opened read/write');
  }
  const backing = await backingOf(header, context);
  const l1 = await L1.read(file, header.l1Offset, header.l1Entries, 2 ** header.clusterBits);
  const refcounts = writable ? await Refcounts.open(file, header) : undefined;
  const clusters = new Clusters({ file, header, l1, refcounts, backed: backing !== undefined });
  const packed = new PackedClusters(file, clusters.cluster, header.compression, offset =>
    clusters.packedPlace(offset),
  );
  const device = mappedDevice({
    mapping: clusters,
    data: file as unknown as BlockDevice,
    packed,
    backing: backing?.device,
    allocation: refcounts && clusters,
    preferred: clusters.cluster,
    close: async () => {
      try {
        if (refcounts) await clusters.close();
        if (refcounts) await file.trimEnd();
      } finally {
        await file.close();
      }
    },
  });
  return {
    format: 'qcow2',
    device,
    facts: factsOf(header),
    backing,
    find: (offset, length) => clusters.find(offset, length),
  };
}

async function readHeader(file: ImageFile, { checking }: OpenImage): Promise<Header> {
  const head = await file.bytes(0, 512);
  return parseHeader(await file.bytes(0, 2 ** clusterBitsOf(head)), checking);
}

function backingOf(header: Header, { alone, neighbours }: OpenImage): Promise<Image> | undefined {
  if (header.backing === undefined || alone) return undefined;
  return neighbours.image(header.backing, textOf(header.extensions, EXTENSION.backingFormat));
}

function factsOf(header: Header): ImageFacts {
  const { backing, extensions } = header;
  const format = textOf(extensions, EXTENSION.backingFormat);
  return {
    clusterSize: 2 ** header.clusterBits,
    encrypted: header.crypt !== 0,
    dirty: (header.incompatible & INCOMPATIBLE.dirty) !== 0n,
    backing: backing === undefined ? undefined : { name: backing, format },
  };
}
