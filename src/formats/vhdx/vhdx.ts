import { andThen } from '../../block/answer.ts';
import type { BlockDevice } from '../../block/device.ts';
import { PASS, wrapDevice } from '../../block/wrap.ts';
import { defineFormat, type Image, type OpenImage } from '../../images/image.ts';
import { ImageFile } from '../../images/image-file.ts';
import { mappedDevice } from '../../images/mapped-device.ts';
import { lastName, openParent, relativeName } from '../../images/parents.ts';
import { VhdxBlocks } from './blocks.ts';
import { createVhdx, OPTIONS } from './create.ts';
import { readLog, replay, replayedDevice } from './log.ts';
import { METADATA_TABLE, type Metadata, parseItems, parseMetadata } from './metadata.ts';
import {
  guidText,
  HEADER_BYTES,
  HEADERS_AT,
  type Header,
  headerBytes,
  NO_GUID,
  newGuid,
  parseHeader,
  parseRegions,
  REGION_BYTES,
  REGIONS_AT,
  type Regions,
  wrong,
} from './structures.ts';

/** Hyper-V's disks. */
export const vhdx = defineFormat({
  name: 'vhdx',
  open: openVhdx,
  options: OPTIONS,
  create: createVhdx,
});

/** What is on each disk that is open, by its GUID, for those over it. */
const CONTENTS = new WeakMap<Image, string>();

async function openVhdx(below: BlockDevice, context: OpenImage): Promise<Image> {
  const whole = new ImageFile(below);
  if ((await whole.bytes(0, 8)).toString('latin1') !== 'vhdxfile') {
    throw wrong('the file is no VHDX image');
  }
  const found = await readHeader(whole);
  const writable = whole.writable && !context.readOnly;
  const { file, current } = await replayed(whole, found, writable);
  const { header } = current;
  let hasReplayed = writable && current !== found;
  const { bat, metadata: region } = await readRegions(file, header);
  const items = parseItems(await file.bytes(region.at, METADATA_TABLE), region.length);
  const metadata = await parseMetadata(items, (at, length) => file.bytes(region.at + at, length));
  const blocks = new VhdxBlocks(file, bat, metadata);
  await blocks.survey(writable && !context.checking);
  const { parent } = metadata;
  const backing = parent && !context.alone ? await parentOf(parent, context) : undefined;
  const disk = mappedDevice({
    mapping: blocks,
    data: file,
    backing: backing?.device,
    allocation: writable ? blocks : undefined,
    preferred: metadata.block,
    close: async () => {
      try {
        if (writable) await blocks.close();
      } finally {
        await file.close();
      }
    },
  });
  const image: Image = {
    format: 'vhdx',
    device: writable ? announcing(disk, file, current) : disk,
    facts: factsOf(metadata),
    backing,
    find: (offset, length) => blocks.find(offset, length),
    check: async () => {
      // Once: what is looked at again is as it should be.
      const corruptionsFixed = hasReplayed ? 1 : 0;
      hasReplayed = false;
      return { ...(await blocks.check()), corruptionsFixed };
    },
  };
  CONTENTS.set(image, guidText(header.dataGuid));
  return image;
}

function factsOf({ block, parent }: Metadata) {
  const name = parent?.get('relative_path') ?? parent?.get('absolute_win32_path');
  return { clusterSize: block, backing: name === undefined ? undefined : { name, format: 'vhdx' } };
}

/** The newer of the headers that are whole. */
async function readHeader(file: ImageFile): Promise<Placed> {
  const headers: Placed[] = [];
  for (const at of HEADERS_AT) {
    const header = parseHeader(await file.bytes(at, HEADER_BYTES));
    if (header) headers.push({ header, at });
  }
  const [newest] = headers.sort((a, b) => (a.header.sequence < b.header.sequence ? 1 : -1));
  if (newest) return newest;
  throw wrong('both headers are damaged');
}

/** A header, and where in the file it is. */
interface Placed {
  readonly header: Header;
  readonly at: number;
}

/** The file as it is when its log has been replayed: on the disk, or in memory. */
async function replayed(file: ImageFile, current: Placed, writable: boolean) {
  const { header } = current;
  if (header.logGuid.equals(NO_GUID)) return { file, current };
  const log = await readLog(file, header);
  if (!writable) {
    return { file: log ? new ImageFile(replayedDevice(file.device, log)) : file, current };
  }
  if (log) await replay(file, log);
  return { file, current: await writeHeader(file, current, { logGuid: NO_GUID }) };
}

/** Writes both headers, one after the other, so that one of them is whole at any time. */
async function writeHeader(
  file: ImageFile,
  current: Placed,
  changes: Partial<Header>,
): Promise<Placed> {
  let { header, at } = current;
  for (let count = 0; count < 2; count++) {
    header = { ...header, ...changes, sequence: header.sequence + 1n };
    at = HEADERS_AT.find(place => place !== at)!;
    await file.write(BigInt(at), headerBytes(header));
    await file.flush();
  }
  return { header, at };
}

async function readRegions(file: ImageFile, header: Header): Promise<Regions> {
  const log = { at: header.logAt, length: header.logLength };
  for (const at of REGIONS_AT) {
    const regions = parseRegions(await file.bytes(at, REGION_BYTES), log);
    if (regions) return regions;
  }
  throw wrong('both tables of the regions are damaged');
}

function parentOf(locator: ReadonlyMap<string, string>, { neighbours }: OpenImage): Promise<Image> {
  const links = ['parent_linkage', 'parent_linkage2'].map(key =>
    locator.get(key)?.toLowerCase().replace(/[{}]/g, ''),
  );
  const names = [
    relativeName(locator.get('relative_path') ?? ''),
    lastName(locator.get('absolute_win32_path') ?? ''),
    lastName(locator.get('volume_path') ?? ''),
  ];
  const isIt = (image: Image) => links.includes(CONTENTS.get(image));
  return openParent(names, { neighbours, format: 'vhdx', isIt });
}

/** Before the first write the headers say that the file, and what is on the disk, have changed. */
function announcing(disk: BlockDevice, file: ImageFile, current: Placed): BlockDevice {
  let announced: Promise<Placed> | undefined;
  let done = false;
  const after = <T>(act: () => T | PromiseLike<T>): T | PromiseLike<T> => {
    if (done) return act();
    announced ??= writeHeader(file, current, { fileGuid: newGuid(), dataGuid: newGuid() });
    return andThen<Placed, T>(announced, () => {
      done = true;
      return act();
    });
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
