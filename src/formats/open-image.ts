import { discard } from '../block/close-all.ts';
import { BlockError, messageOf } from '../block/errors.ts';
import type { Files, Image, NamedFile, Neighbours, OpenImage } from '../images/image.ts';
import { harmless } from '../protocol/text.ts';
import { formatNamed } from './formats.ts';
import { probe, refusingMagic } from './probe.ts';

/** Images over images, at most. */
const DEEPEST = 64;

export interface OpenImageOptions extends Omit<OpenImage, 'neighbours' | 'name'> {
  /** As qemu calls it; unless said it is told by what the file begins with. */
  readonly format?: string | undefined;
  /** Others may change it meanwhile: it is not asked whether they do. */
  readonly shared?: boolean | undefined;
  /** Opens the files that the image names; unless given it may name none. */
  readonly files?: Files | undefined;
}

/**
 * Opens the image in a file, with all its backing files. The file is closed with the image's device,
 * and not when this fails.
 * @throws UsageError there is no such format; BlockError what is wrong with one of the images.
 */
export function openImage(file: NamedFile, options: OpenImageOptions): Promise<Image> {
  return openIn(file, options, []);
}

/** Opens the image in a file that is closed with it, and also when this fails. @throws as above */
export function openImageFile(file: NamedFile, options: OpenImageOptions): Promise<Image> {
  return owning(file, () => openIn(file, options, []));
}

async function owning<T>(file: NamedFile, open: () => Promise<T>): Promise<T> {
  try {
    return await open();
  } catch (error) {
    await discard(file.device);
    throw error;
  }
}

/** @param chain the files over this one. */
async function openIn(
  file: NamedFile,
  options: OpenImageOptions,
  chain: readonly NamedFile[],
): Promise<Image> {
  const name = options.format ?? (await probe(file.device, options));
  const format = await formatNamed(name);
  if (!options.shared) file.use?.(name === 'raw');
  const neighbours = neighboursOf(options, file.name, [...chain, file]);
  const image = await format.open(file.device, { ...options, name: file.name, neighbours });
  if (options.format !== undefined || name !== 'raw') return image;
  return { ...image, device: refusingMagic(image.device) };
}

/** What an image may open that is called so. @param chain the files over what it opens. */
export function neighboursOf(
  options: OpenImageOptions,
  from: string | undefined,
  chain: readonly NamedFile[] = [],
): Neighbours {
  const open = (name: string, readOnly: boolean) => {
    if (options.files) return options.files.open(name, from, readOnly);
    const where = 'no other files may be opened here';
    throw new BlockError('EPERM', `the image names the file '${harmless(name)}': ${where}`);
  };
  return {
    file: async (name, readOnly) => {
      const file = await open(name, readOnly);
      return owning(file, async () => {
        if (!options.shared) file.use?.(false);
        return file.device;
      });
    },
    ...(options.files?.create && { create: name => options.files!.create!(name, from) }),
    image: async (name, format) => {
      const file = await open(name, true);
      return owning(file, async () => {
        refuseLoop(file, name, chain);
        const below = { ...options, format, readOnly: true, snapshot: undefined };
        try {
          return await openIn(file, below, chain);
        } catch (error) {
          const words = `Could not open backing file: '${harmless(name)}': ${messageOf(error)}`;
          throw new BlockError('EIO', words, { cause: error });
        }
      });
    },
  };
}

function refuseLoop({ identity }: NamedFile, name: string, chain: readonly NamedFile[]): void {
  if (chain.length >= DEEPEST) {
    throw new BlockError('EIO', `more than ${DEEPEST} backing files lie over each other`);
  }
  if (identity === undefined || chain.every(file => file.identity !== identity)) return;
  const words = `'${harmless(name)}' is its own backing file: the chain is a loop`;
  throw new BlockError('EIO', words);
}
