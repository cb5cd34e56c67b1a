import { dirname, join } from 'node:path';
import { andThen } from '../../block/answer.ts';
import { closeAll } from '../../block/close-all.ts';
import { paddingDevice } from '../../block/constant.ts';
import type { BlockDevice } from '../../block/device.ts';
import { BlockError } from '../../block/errors.ts';
import { joinDevices } from '../../block/join.ts';
import { sliceDevice } from '../../block/slice.ts';
import { PASS, wrapDevice } from '../../block/wrap.ts';
import { type CheckReport, defineFormat, type Image, type OpenImage } from '../../images/image.ts';
import { ImageFile } from '../../images/image-file.ts';
import { harmless } from '../../protocol/text.ts';
import { createVmdk } from './create.ts';
import {
  type Descriptor,
  MOST_TEXT,
  NO_PARENT,
  parseDescriptor,
  withCid,
  wrong,
} from './descriptor.ts';
import { type Extent, openLine, openSparse, sparseHeader } from './extents.ts';
import { CIDS, newCid } from './identity.ts';
import { OPTIONS } from './options.ts';
import type { SparseHeader } from './sparse-header.ts';

/** VMware's disks, in one file or several. */
export const vmdk = defineFormat({
  name: 'vmdk',
  open: openVmdk,
  options: OPTIONS,
  create: createVmdk,
});

async function openVmdk(below: BlockDevice, context: OpenImage): Promise<Image> {
  const file = new ImageFile(below);
  const header = await sparseHeader(file);
  const place = header
    ? { at: header.descriptorAt, length: header.descriptorLength }
    : { at: 0, length: Number(file.device.size) };
  if (place.length > MOST_TEXT) throw wrong(`a descriptor of ${place.length} bytes`);
  const descriptor =
    header && place.length === 0
      ? undefined
      : parseDescriptor(await file.bytes(place.at, place.length));
  const backing = descriptor && (await openParent(descriptor, context));
  try {
    const parts = header
      ? await openOne(file, header, context, backing)
      : await openLines(file, descriptor!, context, backing);
    const text = descriptor && { ...place, text: descriptor.text, file };
    return imageOf(parts, { descriptor, text, context, backing });
  } catch (error) {
    await closeAll(backing ? [backing.device] : []);
    throw error;
  }
}

interface Parts {
  readonly extents: readonly Extent[];
  readonly device: BlockDevice;
}

/** A file that is the whole disk, whatever its descriptor calls it. */
async function openOne(
  file: ImageFile,
  header: SparseHeader,
  { readOnly }: OpenImage,
  backing: Image | undefined,
): Promise<Parts> {
  const behind = backing && unclosed(backing.device);
  const extent = await openSparse(file, header, { readOnly, backing: behind });
  return { extents: [extent], device: extent.device };
}

async function openLines(
  file: ImageFile,
  { extents: lines, createType }: Descriptor,
  { readOnly, neighbours, alone }: OpenImage,
  backing: Image | undefined,
): Promise<Parts> {
  if (lines.length === 0)
    throw wrong(`a disk of the type '${harmless(createType)}' without extents`);
  const extents: Extent[] = [];
  try {
    let start = 0;
    for (const line of lines) {
      if (alone) {
        extents.push({ device: paddingDevice(BigInt(line.size)) });
        continue;
      }
      const part = backing && partOf(unclosed(backing.device), start, line.size);
      extents.push(await openLine(line, neighbours, { readOnly, backing: part }));
      start += line.size;
    }
  } catch (error) {
    await closeAll(extents.map(({ device }) => device));
    throw error;
  }
  const device = joinDevices(extents.map(extent => extent.device));
  return { extents, device: closingToo(device, file.device) };
}

/** A device that closes others when it is closed. */
function closingToo(device: BlockDevice, ...others: readonly BlockDevice[]): BlockDevice {
  return wrapDevice(device, { ...PASS, close: () => closeAll([device, ...others]) });
}

/** A device that several use, and one closes. */
const unclosed = (device: BlockDevice) => wrapDevice(device, { ...PASS, close: () => {} });

/** So much of a disk as lies behind an extent. */
function partOf(device: BlockDevice, start: number, size: number): BlockDevice | undefined {
  const left = device.size - BigInt(start);
  if (left <= 0n) return undefined;
  return sliceDevice(device, BigInt(start), left < BigInt(size) ? left : BigInt(size));
}

interface Made {
  readonly descriptor: Descriptor | undefined;
  /** Where the descriptor's text is. */
  readonly text: TextPlace | undefined;
  readonly context: OpenImage;
  readonly backing: Image | undefined;
}

interface TextPlace {
  readonly file: ImageFile;
  readonly at: number;
  readonly length: number;
  readonly text: string;
}

function imageOf(
  { extents, device: disk }: Parts,
  { descriptor, text, context, backing }: Made,
): Image {
  const [only] = extents.length === 1 ? extents : [];
  const grains = only?.grains;
  const below = text?.file.writable && !context.readOnly ? changingCid(disk, text) : disk;
  const device = backing ? closingToo(below, backing.device) : below;
  const image: Image = {
    format: 'vmdk',
    device,
    facts: {
      clusterSize: grains?.cluster,
      backing:
        descriptor?.parentHint && descriptor.parentCid !== NO_PARENT
          ? { name: descriptor.parentHint }
          : undefined,
      compressed: grains?.header.compressed,
      specific: descriptor && {
        cid: descriptor.cid,
        'parent-cid': descriptor.parentCid,
        'create-type': descriptor.createType,
        extents: factsOf(descriptor, extents, context.name),
      },
    },
    backing,
    ...(grains && { find: (offset: bigint, length: number) => grains.find(offset, length) }),
    check: repair => checkAll(extents, repair === 'all'),
    ...(grains?.header.compressed && { compressed: device }),
  };
  if (descriptor) CIDS.set(image, descriptor.cid);
  return image;
}

/** In qemu's words, for people. */
function factsOf({ extents: lines }: Descriptor, extents: readonly Extent[], path?: string) {
  const beside = (name = '') => join(dirname(path ?? ''), name);
  return lines.map(({ size, name, type }, index) => {
    const { grains } = extents[index] ?? {};
    // A file that is the whole disk may have been renamed.
    const isOwn = lines.length === 1 && grains !== undefined && type === 'SPARSE';
    return {
      'virtual-size': size,
      filename: isOwn && path !== undefined ? path : beside(name),
      ...(grains && { 'cluster-size': grains.cluster }),
      format: type,
      ...(grains?.header.compressed && { compressed: true }),
    };
  });
}

/** What is wrong with the grains of all extents. */
async function checkAll(extents: readonly Extent[], repairs: boolean): Promise<CheckReport> {
  const sum = { corruptions: 0, leaks: 0, corruptionsFixed: 0, leaksFixed: 0, errors: 0 };
  const findings: string[] = [];
  for (const { grains, device } of extents) {
    if (!grains) continue;
    const report = await (repairs && device.write ? grains.repair() : grains.check());
    findings.push(...report.findings);
    sum.corruptions += report.corruptions;
    sum.corruptionsFixed += report.corruptionsFixed;
  }
  return { ...sum, findings };
}

/** The disk behind this one. @throws BlockError EINVAL it is another one now. */
async function openParent(
  { parentCid, parentHint }: Descriptor,
  { alone, neighbours }: OpenImage,
): Promise<Image | undefined> {
  if (parentCid === NO_PARENT || parentHint === undefined || alone) return undefined;
  const parent = await neighbours.image(parentHint, 'vmdk');
  if (CIDS.get(parent) === parentCid) return parent;
  await parent.device.close?.();
  const words = `'${harmless(parentHint)}' was changed since this disk was made over it`;
  throw new BlockError('EINVAL', `vmdk: ${words}`);
}

/** The identity of what is on the disk changes before the first write. */
function changingCid(disk: BlockDevice, { file, at, length, text }: TextPlace): BlockDevice {
  let changed: Promise<void> | undefined;
  let done = false;
  const change = async () => {
    const bytes = Buffer.from(withCid(text, newCid()), 'latin1');
    if (at > 0 && bytes.length > length) {
      throw new BlockError('ENOSPC', 'vmdk: there is no room for the descriptor');
    }
    await file.write(BigInt(at), bytes);
    if (at === 0) await file.trimEnd();
    done = true;
  };
  const after = <T>(act: () => T | PromiseLike<T>): T | PromiseLike<T> => {
    if (done) return act();
    changed ??= change();
    return andThen<void, T>(changed, act);
  };
  const { write, zero, trim } = disk;
  return wrapDevice(disk, {
    ...PASS,
    write:
      write && ((offset, data, options) => after(() => write.call(disk, offset, data, options))),
    zero: zero && ((offset, span, options) => after(() => zero.call(disk, offset, span, options))),
    trim: trim && ((offset, span, options) => after(() => trim.call(disk, offset, span, options))),
  });
}
