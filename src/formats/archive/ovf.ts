import { alignedDevice } from '../../block/aligned.ts';
import { contiguous } from '../../block/data.ts';
import type { BlockDevice, RequestOptions } from '../../block/device.ts';
import { BlockError } from '../../block/errors.ts';
import { PASS, wrapDevice } from '../../block/wrap.ts';
import { bytesAt } from '../../codecs/encoded.ts';
import { type ArchiveEntry, isNamed } from './entry.ts';
import { tarEntries } from './tar.ts';
import { zipEntries } from './zip.ts';

/** Bytes of a descriptor. */
const MOST_TEXT = 4 << 20;
const MOST_FILES = 1 << 16;
const ZIP = Buffer.from('PK', 'latin1');

/**
 * The disks of an OVA, an appliance with its description in OVF: a tar archive, or a zip archive.
 * They come in the order of the description, which says of what kind they are.
 * @throws BlockError EIO it is no such archive, or damaged.
 */
export async function* ovaDisks(
  archive: BlockDevice,
  options: RequestOptions,
): AsyncGenerator<ArchiveEntry> {
  const isZip =
    archive.size >= 2n && ZIP.equals(await bytesAt(alignedDevice(archive), 0, 2, options));
  const files: ArchiveEntry[] = [];
  for await (const file of isZip ? zipEntries(archive, options) : tarEntries(archive, options)) {
    if (files.push(file) > MOST_FILES) throw bad(`more than ${MOST_FILES} files`);
  }
  const descriptor = files.find(({ name }) => /\.ovf$/i.test(name));
  if (!descriptor) throw bad('there is no OVF descriptor in the archive');
  for (const disk of disksOf(await textOf(archive, descriptor, options))) {
    const file = files.find(each => isNamed(each, disk.href));
    if (file) yield { ...file, description: disk.format };
  }
}

async function textOf(
  archive: BlockDevice,
  { size, open }: ArchiveEntry,
  options: RequestOptions,
): Promise<string> {
  if (size > MOST_TEXT) throw bad(`its OVF descriptor has ${size} bytes`);
  if (size === 0) return '';
  const file = await open(wrapDevice(archive, { ...PASS, close: () => {} }), options);
  try {
    return Buffer.from(contiguous(await alignedDevice(file).read(0n, size, options))).toString();
  } finally {
    await file.close?.();
  }
}

interface Disk {
  readonly href: string;
  readonly format: string | undefined;
}

/** The files to which the disks of a descriptor refer; their formats are URIs. */
function disksOf(text: string): Disk[] {
  const files = new Map(elementsOf(text, 'File').map(file => [file.get('id'), file]));
  return elementsOf(text, 'Disk').flatMap(disk => {
    const file = files.get(disk.get('fileRef'));
    const href = file?.get('href');
    if (href === undefined) return [];
    if (file!.get('compression') || file!.get('chunkSize')) {
      throw new BlockError('ENOTSUP', `ova: the disk '${href}' is compressed or in pieces`);
    }
    return [{ href, format: disk.get('format') }];
  });
}

/** The attributes of all elements of a name, whatever prefixes they have. */
function elementsOf(text: string, name: string): Map<string, string>[] {
  const elements = text.matchAll(new RegExp(`<(?:[\\w-]+:)?${name}\\s([^<>]*)>`, 'g'));
  return Array.from(elements, ([, attributes]) => {
    const pairs = attributes!.matchAll(/(?:[\w-]+:)?([\w-]+)\s*=\s*(?:"([^"]*)"|'([^']*)')/g);
    return new Map(Array.from(pairs, ([, key, one, other]) => [key!, plain(one ?? other!)]));
  });
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&lt;': '<',
  '&gt;': '>',
  '&quot;': '"',
  '&apos;': "'",
  '&amp;': '&',
};

function plain(value: string): string {
  return value.replace(/&(?:lt|gt|quot|apos|amp);/g, entity => ENTITIES[entity]!);
}

function bad(words: string): BlockError {
  return new BlockError('EIO', `ova: ${words}`);
}
