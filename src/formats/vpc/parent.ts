import type { Image, OpenImage } from '../../images/image.ts';
import type { ImageFile } from '../../images/image-file.ts';
import { lastName, openParent, relativeName, utf16 } from '../../images/parents.ts';
import type { DynamicHeader } from './dynamic.ts';

const MOST_PATH = 4096;

/** The identity of each disk that is open, for those over it. */
export const IDENTITIES = new WeakMap<Image, Buffer>();

/**
 * The disk behind a differencing one, by the names that this one has for it.
 * @throws BlockError EIO it is not there, or is another one.
 */
export async function parentOf(
  file: ImageFile,
  header: DynamicHeader,
  { neighbours }: OpenImage,
): Promise<Image> {
  const isIt = (image: Image) => IDENTITIES.get(image)?.equals(header.parentUuid) ?? false;
  return openParent(await namesOf(file, header), { neighbours, format: 'vpc', isIt });
}

/** Relative names first; of others only what the file itself is called. */
async function namesOf(file: ImageFile, header: DynamicHeader): Promise<string[]> {
  const names: string[] = [];
  for (const code of ['W2ru', 'W2ku']) {
    const locator = header.locators.find(each => each.code === code);
    if (!locator || locator.length > MOST_PATH) continue;
    if (locator.at + BigInt(locator.length) > file.device.size) continue;
    const path = utf16(await file.bytes(Number(locator.at), locator.length));
    names.push(code === 'W2ru' ? relativeName(path) : lastName(path));
  }
  return [...names, lastName(header.parentName)];
}
