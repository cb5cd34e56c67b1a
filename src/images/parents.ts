import { BlockError, errnoOf, messageOf } from '../block/errors.ts';
import { harmless } from '../protocol/text.ts';
import type { Image, Neighbours } from './image.ts';

export interface ParentWanted {
  readonly neighbours: Neighbours;
  readonly format: string;
  /** Whether an image is the one that another was made over. */
  isIt(image: Image): boolean;
}

/**
 * The disk behind another one that has several names for it.
 * @param names plain ones, the best first.
 * @throws BlockError EIO it is not there, or is another one.
 */
export async function openParent(
  names: readonly string[],
  { neighbours, format, isIt }: ParentWanted,
): Promise<Image> {
  let reason: unknown = new Error('the image says nowhere what it is called');
  for (const name of new Set(names.filter(each => each !== ''))) {
    try {
      const parent = await neighbours.image(name, format);
      if (isIt(parent)) return parent;
      await parent.device.close?.();
      const words = `'${harmless(name)}' is not the disk that this one was made over`;
      throw new BlockError('EIO', words);
    } catch (error) {
      reason = error;
      if (errnoOf(error) === 'EPERM') break;
    }
  }
  throw new BlockError('EIO', `${format}: the parent cannot be opened: ${messageOf(reason)}`);
}

/** A relative name as Windows has it. */
export const relativeName = (path: string) => path.replaceAll('\\', '/').replace(/^(\.\/)+/, '');

/** What a file is called, wherever it was. */
export const lastName = (path: string) => path.split(/[\\/]/).at(-1)!;

/** Text of UTF-16, the lower byte first, up to a zero. */
export const utf16 = (bytes: Buffer) => bytes.toString('utf16le').split('\0', 1)[0]!;
