import { alignedDevice } from '../block/aligned.ts';
import { viewsOf } from '../block/data.ts';
import type { BlockDevice, RequestOptions } from '../block/device.ts';
import { BlockError } from '../block/errors.ts';
import { PASS, wrapDevice } from '../block/wrap.ts';

/** Bytes of a file in which formats show themselves; of a VHD also the last ones. */
export const HEAD = 512;

const text = (head: Buffer, at: number, length: number) => head.toString('latin1', at, at + length);

/** How a file begins that is of a format. */
const MAGIC: Readonly<Record<string, (head: Buffer) => boolean>> = {
  qcow2: head => text(head, 0, 4) === 'QFI\xfb' && head.readUInt32BE(4) >= 2,
  vmdk: head => /^(KDMV|COWD|\s*(#[^\n]*\n\s*)*# Disk DescriptorFile)/i.test(text(head, 0, HEAD)),
  vdi: head => head.readUInt32LE(64) === 0xbeda107f,
  vpc: head => text(head, 0, 8) === 'conectix',
  vhdx: head => text(head, 0, 8) === 'vhdxfile',
  luks: head => text(head, 0, 6) === 'LUKS\xba\xbe',
};

/** The format of which a file is by what it begins with; 'raw' when it is of none. */
export function formatOf(head: Uint8Array): string {
  const bytes = Buffer.alloc(HEAD);
  bytes.set(head.subarray(0, HEAD));
  return Object.keys(MAGIC).find(name => MAGIC[name]!(bytes)) ?? 'raw';
}

/** The format of which a file is. @throws BlockError it cannot be read. */
export async function probe(file: BlockDevice, options?: RequestOptions): Promise<string> {
  const all = alignedDevice(file);
  const read = async (offset: bigint, length: number) =>
    Buffer.concat(viewsOf(await all.read(offset, length, { signal: options?.signal })));
  const length = all.size < BigInt(HEAD) ? Number(all.size) : HEAD;
  if (length === 0) return 'raw';
  const found = formatOf(await read(0n, length));
  if (found !== 'raw' || length < HEAD) return found;
  // A VHD of fixed size has its footer only.
  const last = ((all.size - 1n) / 512n) * 512n;
  const footer = await read(last, Number(all.size - last));
  return text(footer, 0, 8) === 'conectix' ? 'vpc' : 'raw';
}

/**
 * A disk that was not said to be without a format. What would make it look like an image is not
 * written, as it might be opened as one the next time, with all that images can name.
 */
export function refusingMagic(below: BlockDevice): BlockDevice {
  if (!below.write) return below;
  const device = alignedDevice(below);
  const write: BlockDevice['write'] = (offset, data, options) => {
    if (offset >= BigInt(HEAD)) return device.write!(offset, data, options);
    return checkHead(device, Number(offset), data).then(() => device.write!(offset, data, options));
  };
  return wrapDevice(device, { ...PASS, write });
}

async function checkHead(device: BlockDevice, offset: number, data: Uint8Array): Promise<void> {
  const head = Buffer.concat(viewsOf(await device.read(0n, Math.min(HEAD, Number(device.size)))));
  data.subarray(0, head.length - offset).forEach((byte, index) => {
    head[offset + index] = byte;
  });
  const found = formatOf(head);
  if (found === 'raw') return;
  const advice = 'say that its format is raw to allow it';
  throw new BlockError('EPERM', `this write would make the disk look like ${found}: ${advice}`);
}
