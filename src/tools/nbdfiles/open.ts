import type { BlockDevice } from '../../block/device.ts';
import { BlockError, errnoOf, messageOf, UsageError } from '../../block/errors.ts';
import { expanded } from '../../formats/expanded.ts';
import { openImage } from '../../formats/open-image.ts';
import { probe } from '../../formats/probe.ts';
import { open } from '../../handle/open.ts';
import type { NamedFile } from '../../images/image.ts';
import { filesBeside, namedFile } from '../../stores/file/beside.ts';
import { isFile, type Source } from './sources.ts';

/** A volume that is encrypted as a whole is opened where its keys are: as all others are. */
const WITH_KEYS = 'luks';

/**
 * The disk in an image; it is closed with the device.
 * @throws UsageError there is no such format; BlockError that begins with its name, EROFS it cannot be
 * written although it is to be.
 */
export async function openDisk(source: Source, readOnly = true): Promise<BlockDevice> {
  const name = typeof source.what === 'string' ? source.what : source.what[0];
  try {
    return await openSource(source, readOnly);
  } catch (error) {
    if (error instanceof UsageError || messageOf(error).includes(name)) throw error;
    throw new BlockError(errnoOf(error), `${name}: ${messageOf(error)}`, { cause: error });
  }
}

async function openSource({ what, format }: Source, readOnly: boolean): Promise<BlockDevice> {
  let file = await openFile(what, readOnly);
  try {
    if (format === undefined) {
      const { device } = file;
      file = { ...file, device: await expanded(device) };
      if (!readOnly && file.device !== device) {
        throw new BlockError('EROFS', 'it is compressed, and so it is only read');
      }
    }
    const found = format ?? (await probe(file.device));
    const chosen = found === WITH_KEYS ? 'raw' : found;
    const files = filesBeside({ anywhere: true });
    const { device } = await openImage(file, { format: chosen, readOnly, files });
    if (!readOnly && !device.write) throw new BlockError('EROFS', 'it cannot be written');
    return device;
  } catch (error) {
    await file.device.close?.();
    throw error;
  }
}

async function openFile(what: Source['what'], readOnly: boolean): Promise<NamedFile> {
  return isFile(what)
    ? namedFile(what, readOnly)
    : { device: (await open(what, { readOnly })).device };
}
