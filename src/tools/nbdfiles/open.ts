import type { BlockDevice } from '../../block/device.ts';
import { BlockError, errnoOf, messageOf, UsageError } from '../../block/errors.ts';
import { openImage } from '../../formats/open-image.ts';
import { probe } from '../../formats/probe.ts';
import { open } from '../../handle/open.ts';
import type { NamedFile } from '../../images/image.ts';
import { isNbdUri, isWebUrl } from '../../protocol/uri.ts';
import { filesBeside, namedFile } from '../../stores/file/beside.ts';
import { expanded } from './compressed.ts';
import type { Source } from './sources.ts';

/** A volume that is encrypted as a whole is opened where its keys are: as all others are. */
const WITH_KEYS = 'luks';

/**
 * The disk in an image, for reading; it is closed with the device.
 * @throws UsageError there is no such format; BlockError that begins with its name.
 */
export async function openDisk(source: Source): Promise<BlockDevice> {
  const name = typeof source.what === 'string' ? source.what : source.what[0];
  try {
    return await openSource(source);
  } catch (error) {
    if (error instanceof UsageError || messageOf(error).includes(name)) throw error;
    throw new BlockError(errnoOf(error), `${name}: ${messageOf(error)}`, { cause: error });
  }
}

async function openSource({ what, format }: Source): Promise<BlockDevice> {
  let file = await openFile(what);
  try {
    if (format === undefined) file = { ...file, device: await expanded(file.device) };
    const found = format ?? (await probe(file.device));
    const chosen = found === WITH_KEYS ? 'raw' : found;
    const files = filesBeside({ anywhere: true });
    return (await openImage(file, { format: chosen, readOnly: true, files })).device;
  } catch (error) {
    await file.device.close?.();
    throw error;
  }
}

async function openFile(what: Source['what']): Promise<NamedFile> {
  const plain = typeof what === 'string' && !isNbdUri(what) && !isWebUrl(what);
  if (plain) return namedFile(what, true);
  return { device: (await open(what, { readOnly: true })).device };
}
