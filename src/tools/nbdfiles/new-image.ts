import { statSync } from 'node:fs';
import type { BlockDevice } from '../../block/device.ts';
import { BlockError, errnoOf, messageOf, reasonOf, UsageError } from '../../block/errors.ts';
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

export interface NewImage {
  readonly device: BlockDevice;
  /** It reads as zeroes; the disk of a server, and a block device, may hold anything. */
  readonly isZero: boolean;
}

/**
 * A new image, in a file in the place of whatever was called so, or on the disk of a server. Its file is
 * closed with it.
 * @throws UsageError; BlockError that begins with its name.
 */
export async function newImage(name: string, format: string, size: bigint): Promise<NewImage> {
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
    throw new BlockError(errnoOf(error), `${name}: ${messageOf(error)}`, { cause: error });
  }
  const { device } = await openImageFile(file, { format, readOnly: false });
  return { device, isZero: !isDisk(name) };
}

/** What is there already and keeps its size. */
const isDisk = (name: string) =>
  isNbdUri(name) || (statSync(name, { throwIfNoEntry: false })?.isBlockDevice() ?? false);

async function newFile(name: string): Promise<BlockDevice> {
  if (isNbdUri(name)) return (await open(name)).device;
  try {
    return createdFile(name);
  } catch (error) {
    throw new BlockError(errnoOf(error), `${name}: ${reasonOf(error)}`, { cause: error });
  }
}
