import type { BlockDevice } from '../../block/device.ts';
import { BlockError, errnoOf, reasonOf, UsageError } from '../../block/errors.ts';
import { parseParameters } from '../../declare/parameters.ts';
import { formatNamed, formatNames } from '../../formats/formats.ts';
import { neighboursOf, openImageFile } from '../../formats/open-image.ts';
import { open } from '../../handle/open.ts';
import { isNbdUri } from '../../protocol/uri.ts';
import { createdFile } from '../../stores/file/beside.ts';

/** Those of new images that need no secret. */
export const newFormats = formatNames.filter(name => name !== 'luks');

/** @throws UsageError no image of that format can be made. */
export function checkFormat(format: string): void {
  if (newFormats.includes(format)) return;
  throw new UsageError(`--format: ${format}: expected one of ${newFormats.join(', ')}`);
}

/**
 * A new image that holds a disk of zeroes, in a file in the place of whatever was called so, or on the
 * disk of a server. Its file is closed with it.
 * @throws UsageError; BlockError that begins with its name.
 */
export async function newImage(name: string, format: string, size: bigint): Promise<BlockDevice> {
  const { create, options = {} } = await formatNamed(format);
  const reader = {
    resolvePath: (path: string) => path,
    readPassword: (_: string, value: string) => value,
  };
  const { values } = parseParameters(options, [], reader);
  const neighbours = neighboursOf({ readOnly: true }, name);
  const file = { name, device: await newFile(name) };
  try {
    await create!(file.device, size, values as never, { readOnly: false, name, neighbours });
  } catch (error) {
    await file.device.close?.();
    throw error;
  }
  return (await openImageFile(file, { format, readOnly: false })).device;
}

async function newFile(name: string): Promise<BlockDevice> {
  if (isNbdUri(name)) return (await open(name)).device;
  try {
    return createdFile(name);
  } catch (error) {
    throw new BlockError(errnoOf(error), `${name}: ${reasonOf(error)}`, { cause: error });
  }
}
