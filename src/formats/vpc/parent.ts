import { BlockError, errnoOf, messageOf } from '../../block/errors.ts';
import type { Image, OpenImage } from '../../images/image.ts';
import type { ImageFile } from '../../images/image-file.ts';
import { harmless } from '../../protocol/text.ts';
import { type DynamicHeader, untilZero } from './dynamic.ts';

const MOST_PATH = 4096;

/** The identity of each disk that is open, for those over it. */
export const IDENTITIES = new WeakMap<Image, Buffer>();

/**
 * The disk behind a differencing one, by the names that this one has for it.
 * @throws BlockError EIO it is not there, or is another one.
 */
export async function openParent(
  file: ImageFile,
  header: DynamicHeader,
  { neighbours }: OpenImage,
): Promise<Image> {
  const names = await namesOf(file, header);
  let reason: unknown = new Error('the image says nowhere what it is called');
  for (const name of names) {
    try {
      const parent = await neighbours.image(name, 'vpc');
      if (IDENTITIES.get(parent)?.equals(header.parentUuid)) return parent;
      await parent.device.close?.();
      throw new BlockError(
        'EIO',
        `'${harmless(name)}' is not the disk that this one was made over`,
      );
    } catch (error) {
      reason = error;
      if (errnoOf(error) === 'EPERM') break;
    }
  }
  throw new BlockError('EIO', `vpc: the parent cannot be opened: ${messageOf(reason)}`);
}

/** Relative names first; of others only what the file itself is called. */
async function namesOf(file: ImageFile, header: DynamicHeader): Promise<string[]> {
  const names: string[] = [];
  for (const code of ['W2ru', 'W2ku']) {
    const locator = header.locators.find(each => each.code === code);
    if (!locator || locator.length > MOST_PATH) continue;
    if (locator.at + BigInt(locator.length) > file.device.size) continue;
    const path = untilZero(await file.bytes(Number(locator.at), locator.length));
    names.push(code === 'W2ru' ? relative(path) : lastOf(path));
  }
  names.push(lastOf(header.parentName));
  return [...new Set(names)].filter(name => name !== '');
}

const relative = (path: string) => path.replaceAll('\\', '/').replace(/^(\.\/)+/, '');
const lastOf = (path: string) => path.split(/[\\/]/).at(-1)!;
