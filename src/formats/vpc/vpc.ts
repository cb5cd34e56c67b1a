import type { BlockDevice } from '../../block/device.ts';
import { BlockError } from '../../block/errors.ts';
import { readOnlyDevice } from '../../block/read-only.ts';
import { sliceDevice } from '../../block/slice.ts';
import { defineFormat, type Image, type OpenImage } from '../../images/image.ts';
import { ImageFile } from '../../images/image-file.ts';
import { mappedDevice } from '../../images/mapped-device.ts';
import { newFile } from '../../images/new-file.ts';
import { VpcBlocks } from './blocks.ts';
import { DYNAMIC_HEADER, newDynamic, parseDynamic } from './dynamic.ts';
import { FOOTER, type Footer, isFooter, newFooter, parseFooter, wrong } from './footer.ts';
import { IDENTITIES, parentOf } from './parent.ts';

/** Microsoft's Virtual Hard Disks, which qemu calls vpc. */
export const vpc = defineFormat({
  name: 'vpc',
  open: openVpc,
  options: {
    subformat: {
      type: 'string',
      choices: ['dynamic', 'fixed'],
      default: 'dynamic',
      help: 'Type of virtual hard disk format. Supported formats are {dynamic (default) | fixed} ',
    },
    force_size: {
      type: 'boolean',
      default: 'false',
      help: 'Force disk size calculation to use the actual size specified, rather than using the nearest CHS-based calculation',
    },
  },
  create: (file, size, { subformat, force_size: exact }) => createVpc(file, size, subformat, exact),
});

async function openVpc(below: BlockDevice, context: OpenImage): Promise<Image> {
  const file = new ImageFile(below);
  const footer = await readFooter(file);
  const image =
    footer.kind === 'fixed'
      ? openFixed(file, footer, context)
      : await openDynamic(file, footer, context);
  IDENTITIES.set(image, footer.uuid);
  return image;
}

/** That at the end, or its copy at the beginning of those that grow. */
async function readFooter(file: ImageFile): Promise<Footer> {
  const size = Number(file.device.size);
  const last = Math.floor((size - 1) / FOOTER) * FOOTER;
  for (const at of [0, last]) {
    if (at < 0 || size < FOOTER) continue;
    // The oldest ones lack their last byte.
    const bytes = await file.bytes(at, FOOTER);
    if (isFooter(bytes)) return parseFooter(bytes);
  }
  throw wrong('the file is no VHD image, or its footer is damaged');
}

function openFixed(file: ImageFile, { size }: Footer, { readOnly }: OpenImage): Image {
  const room = file.device.size - BigInt(FOOTER - 1);
  if (size > room) throw wrong(`the disk has ${size} bytes, the file before the footer ${room}`);
  const disk = sliceDevice(file.device, 0n, size);
  const device = readOnly ? readOnlyDevice(disk) : disk;
  return { format: 'vpc', device, facts: {} };
}

async function openDynamic(file: ImageFile, footer: Footer, context: OpenImage): Promise<Image> {
  const header = parseDynamic(await file.bytes(footer.headerAt, DYNAMIC_HEADER), footer.size);
  const blocks = new VpcBlocks(file, footer, header);
  const writable = file.writable && !context.readOnly;
  if (writable) await blocks.findEnd();
  const isOver = footer.kind === 'differencing';
  const backing = isOver && !context.alone ? await parentOf(file, header, context) : undefined;
  const device = mappedDevice({
    mapping: blocks,
    data: file,
    backing: backing?.device,
    allocation: writable ? blocks : undefined,
    preferred: header.block,
    close: async () => {
      try {
        if (writable) await blocks.close();
      } finally {
        await file.close();
      }
    },
  });
  return {
    format: 'vpc',
    device,
    facts: {
      clusterSize: header.block,
      backing: isOver ? { name: header.parentName, format: 'vpc' } : undefined,
    },
    backing,
    find: (offset, length) => blocks.find(offset, length),
    check: () => blocks.check(),
  };
}

async function createVpc(
  below: BlockDevice,
  size: bigint,
  kind: 'dynamic' | 'fixed',
  exact: boolean,
): Promise<void> {
  const footer = newFooter(kind, size, exact);
  const file = await newFile(below);
  if (kind === 'fixed') {
    const all = footer.size + BigInt(footer.bytes.length);
    if (!below.resize && below.size !== all) {
      const why = `what holds a fixed disk must have ${all} bytes, and has ${below.size}`;
      throw new BlockError('ENOSPC', `vpc: ${why}`);
    }
    await file.zero(0, Number(footer.size));
    await file.write(footer.size, footer.bytes);
  } else {
    const { header, table } = newDynamic(footer.size);
    await file.write(0n, Buffer.concat([footer.bytes, header, table, footer.bytes]));
  }
  await file.trimEnd();
  await file.flush();
}
