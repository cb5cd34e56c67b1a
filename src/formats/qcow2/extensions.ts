import { BlockError } from '../../block/errors.ts';

/** A header extension; what is not known is kept byte for byte. */
export interface Extension {
  readonly type: number;
  readonly data: Buffer;
  /** Of the feature name table. */
  readonly features?: readonly FeatureName[];
}

/** What a feature bit is called; `kind` 0: incompatible, 1: compatible, 2: autoclear. */
export interface FeatureName {
  readonly kind: number;
  readonly bit: number;
  readonly name: string;
}

export const EXTENSION = {
  backingFormat: 0xe2792aca,
  featureNames: 0x6803f857,
  bitmaps: 0x23852875,
  crypto: 0x0537be77,
  dataFile: 0x44415441,
} as const;

const FEATURE_BYTES = 48;

/** The extensions in what is between the header's fields and its end. @throws BlockError EIO */
export function parseExtensions(bytes: Buffer): Extension[] {
  const found: Extension[] = [];
  for (let at = 0; at + 8 <= bytes.length; ) {
    const type = bytes.readUInt32BE(at);
    const length = bytes.readUInt32BE(at + 4);
    if (type === 0) break;
    at += 8;
    if (length > bytes.length - at) throw new BlockError('EIO', 'Header extension too large');
    const data = Buffer.from(bytes.subarray(at, at + length));
    found.push({
      type,
      data,
      ...(type === EXTENSION.featureNames && { features: featureNames(data) }),
    });
    at += Math.ceil(length / 8) * 8;
  }
  return found;
}

function featureNames(data: Buffer): FeatureName[] {
  return Array.from({ length: Math.ceil(data.length / FEATURE_BYTES) }, (_, index) => {
    const entry = data.subarray(index * FEATURE_BYTES, (index + 1) * FEATURE_BYTES);
    return {
      kind: entry[0]!,
      bit: entry[1]!,
      name: entry.toString('latin1', 2).replace(/\0.*$/s, ''),
    };
  });
}

const NAMES: readonly (readonly [kind: number, bit: number, name: string])[] = [
  [0, 0, 'dirty bit'],
  [0, 1, 'corrupt bit'],
  [0, 2, 'external data file'],
  [0, 3, 'compression type'],
  [0, 4, 'extended L2 entries'],
  [1, 0, 'lazy refcounts'],
  [2, 0, 'bitmaps'],
  [2, 1, 'raw external data'],
];

/** The table of the features that are known, which all images of version 3 have. */
export function featureNameTable(): Extension {
  const data = Buffer.alloc(NAMES.length * FEATURE_BYTES);
  for (const [index, [kind, bit, name]] of NAMES.entries()) {
    data.set([kind, bit], index * FEATURE_BYTES);
    data.write(name, index * FEATURE_BYTES + 2);
  }
  return { type: EXTENSION.featureNames, data };
}

/** Extensions as they stand in the header, with the one that ends them. */
export function writeExtensions(extensions: readonly Extension[]): Buffer {
  const parts = extensions.flatMap(({ type, data }) => {
    const head = Buffer.alloc(8);
    head.writeUInt32BE(type, 0);
    head.writeUInt32BE(data.length, 4);
    return [head, data, Buffer.alloc(-data.length & 7)];
  });
  return Buffer.concat([...parts, Buffer.alloc(8)]);
}

/** The text of an extension. */
export function textOf(extensions: readonly Extension[], type: number): string | undefined {
  return extensions.findLast(each => each.type === type)?.data.toString('utf8');
}

/** The extensions with one that has this text, or without it, in its place. */
export function withExtension(
  extensions: readonly Extension[],
  type: number,
  data: string | Buffer | undefined,
): Extension[] {
  const others = extensions.filter(each => each.type !== type);
  if (data === undefined) return others;
  const extension = { type, data: Buffer.from(data) };
  const place = extensions.findIndex(each => each.type === type);
  if (place >= 0) return others.toSpliced(place, 0, extension);
  // Where qemu has it: the format of the backing file first.
  return type === EXTENSION.backingFormat || type === EXTENSION.dataFile
    ? [extension, ...others]
    : [...others, extension];
}

/** Where the header of LUKS is in the file, in bytes. @throws BlockError EIO it cannot be there */
export function cryptoHeader({ extensions }: { readonly extensions: readonly Extension[] }) {
  const found = extensions.find(each => each.type === EXTENSION.crypto)?.data;
  if (!found) return undefined;
  const [offset, length] =
    found.length < 16 ? [0n, 0n] : [found.readBigUInt64BE(0), found.readBigUInt64BE(8)];
  if (length === 0n || length > MOST_CRYPTO || offset > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw new BlockError('EIO', 'CRYPTO header extension size or offset is invalid');
  }
  return { offset: Number(offset), length: Number(length) };
}

const MOST_CRYPTO = 64n << 20n;
