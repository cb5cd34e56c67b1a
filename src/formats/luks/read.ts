import type { BlockDevice, RequestOptions } from '../../block/device.ts';
import { corrupt, type LuksHeader, readBytes } from './header.ts';
import { LUKS1_BYTES, type Luks1Fields, luks1Header, luks1Room, parseLuks1 } from './luks1.ts';
import { BINARY_BYTES, type Luks2Fields, luks2Header, readLuks2 } from './luks2.ts';

/** A header as it is on the disk, and what it means. */
export type Found =
  | { readonly version: 1; readonly fields: Luks1Fields; readonly header: LuksHeader }
  | { readonly version: 2; readonly fields: Luks2Fields; readonly header: LuksHeader };

const MAGIC = 'LUKS\xba\xbe';

export interface WhereOptions extends RequestOptions {
  /** The data is on another device than the header. */
  readonly detached?: boolean | undefined;
}

/**
 * The header of a device.
 * @throws BlockError EINVAL when it is none or damaged, ENOTSUP for what is not supported.
 */
export async function readHeader(
  device: BlockDevice,
  { detached = false, signal }: WhereOptions = {},
): Promise<Found> {
  const start = device.size < BigInt(BINARY_BYTES) ? Number(device.size) : BINARY_BYTES;
  if (start < LUKS1_BYTES) throw corrupt(`${device.size} bytes hold no header`);
  const bytes = await readBytes(device, 0, start, { signal });
  const version = bytes.toString('latin1', 0, 6) === MAGIC ? bytes.readUInt16BE(6) : undefined;
  if (version === 1) {
    const fields = parseLuks1(bytes);
    const header = luks1Header(fields, luks1Room(fields, device, detached));
    return { version, fields, header };
  }
  // Where the first header of version 2 is damaged, the second one may be whole.
  const fields = await readLuks2(device, { signal });
  if (!fields) {
    if (version === undefined) throw corrupt('the disk holds no volume, or one without headers');
    throw corrupt(version === 2 ? 'both headers are damaged' : `there is no version ${version}`);
  }
  const header = luks2Header(fields, device.size);
  if (!detached && header.payload.offset < BigInt(2 * fields.size)) {
    throw corrupt('the data lies over the headers');
  }
  return { version: 2, fields, header };
}
