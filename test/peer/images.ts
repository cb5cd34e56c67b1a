import { writeFileSync } from 'node:fs';
import type { BlockDevice } from '../../src/block/device.ts';
import { BlockError } from '../../src/block/errors.ts';
import { parseParameters, splitParameter } from '../../src/declare/parameters.ts';
import { formatNamed } from '../../src/formats/formats.ts';
import { neighboursOf, openImage } from '../../src/formats/open-image.ts';
import type { Image, Neighbours } from '../../src/images/image.ts';
import { filesBeside, namedFile } from '../../src/stores/file/beside.ts';
import { Random } from '../../src/testing/model.ts';

const READER = { resolvePath: (path: string) => path, readPassword: () => '' };
const NONE: Neighbours = {
  file: () => Promise.reject(new Error('no other files')),
  image: () => Promise.reject(new Error('no other images')),
};

/** What opens images that are made encrypted. */
export const SECRET = 'secret';

/** Makes an image in a device. @param words options, as `-o` has them, by commas. */
export async function makeImage(
  device: BlockDevice,
  format: string,
  size: bigint,
  words = '',
  name?: string,
): Promise<void> {
  const neighbours =
    name === undefined ? NONE : neighboursOf({ readOnly: false, files: filesBeside() }, name);
  const { create, options = {} } = await formatNamed(format);
  const given = words === '' ? [] : words.split(',').map(splitParameter);
  const { values } = parseParameters(options, given, READER);
  const secret = () => Buffer.from(SECRET);
  await create!(device, size, values as never, { readOnly: false, name, neighbours, secret });
}

/** Makes an image file. */
export async function makeImageFile(path: string, format: string, size: bigint, words = '') {
  writeFileSync(path, '');
  const { device } = namedFile(path, false);
  await makeImage(device, format, size, words, path);
  await device.close?.();
}

/** Opens an image file, which may name others in its folder. */
export function openImageFile(path: string, format?: string, readOnly = false): Promise<Image> {
  return openImage(namedFile(path, readOnly), { format, files: filesBeside(), readOnly });
}

/** Writes here and there, on the disk and into what it should hold afterwards. */
export async function scribble(
  device: BlockDevice,
  content: Buffer,
  { random = new Random(1), count = 60, most = 200_000 } = {},
): Promise<void> {
  for (let step = 0; step < count; step++) {
    const length = 1 + random.below(step % 2 ? most : 5000);
    const offset = random.below(content.length - length);
    const kind = random.below(8);
    if (kind === 0 && device.zero) {
      await device.zero(BigInt(offset), length, { mayTrim: true });
      content.fill(0, offset, offset + length);
    } else {
      const bytes = random.bytes(64);
      content.fill(bytes, offset, offset + length);
      await device.write!(BigInt(offset), content.subarray(offset, offset + length));
    }
    if (kind === 1) await device.flush?.();
  }
}

/** A file in memory that can be made longer, up to so much that nobody notices. */
export class GrowingMemory implements BlockDevice {
  bytes: Buffer;
  /** The bytes, and room for more. */
  #room: Buffer;

  constructor(bytes: Buffer) {
    this.bytes = this.#room = Buffer.from(bytes);
  }

  get size(): bigint {
    return BigInt(this.bytes.length);
  }

  read(offset: bigint, length: number): Buffer {
    const start = Number(offset);
    if (start < 0 || start + length > this.bytes.length) {
      throw new RangeError(`${length} bytes at ${offset} of ${this.bytes.length}`);
    }
    return Buffer.from(this.bytes.subarray(start, start + length));
  }

  write(offset: bigint, data: Uint8Array): void | Promise<void> {
    if (Number(offset) + data.length > this.bytes.length) {
      throw new RangeError(`${data.length} bytes at ${offset} of ${this.bytes.length}`);
    }
    this.bytes.set(data, Number(offset));
  }

  flush(): void | Promise<void> {}

  resize(size: bigint): void {
    if (size > MOST_MEMORY) throw new BlockError('ENOSPC', `${size} bytes are too many`);
    const [before, end] = [this.bytes.length, Number(size)];
    if (end > this.#room.length) {
      this.#room = Buffer.alloc(Math.max(end, 2 * this.#room.length));
      this.bytes.copy(this.#room);
    } else if (end < before) this.#room.fill(0, end, before);
    this.bytes = this.#room.subarray(0, end);
  }
}

const MOST_MEMORY = 256n << 20n;
