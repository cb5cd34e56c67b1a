import { messageOf, UsageError } from '../../block/errors.ts';
import {
  type ParameterDeclarations,
  parseParameters,
  type RawParameter,
} from '../../declare/parameters.ts';
import { formatNamed, formatNames } from '../../formats/formats.ts';
import { createRaw } from '../../formats/raw/create.ts';
import type { Image, ImageFormat, OpenImage } from '../../images/image.ts';
import { sizeOf } from './common.ts';
import { fullName, newFile, type Opening } from './opening.ts';
import { isOn } from './option-text.ts';

/** A new image. */
export interface Wish {
  readonly name: string;
  readonly format: string;
  /** Bytes; undefined: those of the backing file. */
  readonly size: bigint | undefined;
  readonly words: readonly RawParameter[];
  /** The backing file is not looked at. */
  readonly unsafe?: boolean;
}

/** An image that can be made. */
export interface Making {
  /** What is going to be made, on one line. */
  readonly formatting: string;
  create(): Promise<void>;
}

/** @throws UsageError there is no such format. */
export async function formatFor(name: string): Promise<ImageFormat> {
  if (formatNames.includes(name)) return formatNamed(name);
  throw new UsageError(`Unknown file format '${name}'`);
}

/** Understands what is wished for. @throws UsageError; BlockError the backing file */
export async function makeImage(opening: Opening, wish: Wish): Promise<Making> {
  const format = await formatFor(wish.format);
  const { create, options: declared = {} } = format;
  if (!create)
    throw new UsageError(`Format driver '${wish.format}' does not support image creation`);
  const { words, values, size: given } = understand(declared, wish.words);
  const text = (key: string) => words.findLast(word => word.key === key)?.value;
  if (given !== undefined && wish.size !== undefined) {
    throw new UsageError('The image size must be specified only once');
  }
  const backing = text('backing_file');
  if (backing !== undefined && !Object.hasOwn(declared, 'backing_file')) {
    throw new UsageError(`Backing file not supported for file format '${wish.format}'`);
  }
  if (backing !== undefined) await checkBacking(opening, wish, backing, text('backing_fmt'));
  const size =
    given ?? wish.size ?? (await sizeOfBacking(opening, wish, backing, text('backing_fmt')));
  if (size === undefined) throw new UsageError('Image creation needs a size parameter');
  const context: OpenImage = {
    readOnly: false,
    name: wish.name,
    neighbours: opening.neighbours(wish.name),
    secret: opening.secret(text('encrypt.key-secret') ?? text('key-secret')),
  };
  return {
    formatting: `Formatting '${wish.name}', fmt=${wish.format}${shown(declared, words, size)}`,
    create: async () => {
      await makeDataFile(wish.name, size, text('data_file'));
      const file = await newFile(wish.name);
      try {
        await create(file, size, values as never, context);
        await file.flush?.();
      } finally {
        await file.close?.();
      }
    },
  };
}

/** The file that has the data is as long as the disk. */
async function makeDataFile(image: string, size: bigint, name: string | undefined): Promise<void> {
  if (name === undefined) return;
  const file = await newFile(fullName(name, image));
  try {
    await createRaw(file, size, { preallocation: 'off' });
  } finally {
    await file.close?.();
  }
}

function understand(declared: ParameterDeclarations, given: readonly RawParameter[]) {
  let size: bigint | undefined;
  const last = new Map<string, RawParameter>();
  for (const { key = '', value } of given) {
    if (key === 'size') size = optionSize(key, value);
    else if (!Object.hasOwn(declared, key)) throw new UsageError(`Invalid parameter '${key}'`);
    else last.set(key, { key, value: checked(key, declared[key]!.type, value) });
  }
  const words = [...last.values()];
  const reader = {
    resolvePath: (path: string) => path,
    readPassword: (_: string, value: string) => value,
  };
  const { values } = parseParameters(declared, words, reader);
  return { words, values, size };
}

/** Options that are to be changed of an image, checked. @throws UsageError */
export const checkedWords = ({ amendOptions = {} }: ImageFormat, words: readonly RawParameter[]) =>
  understand(amendOptions, words).words;

/** The options of a format, understood. @throws UsageError */
export const valuesOf = ({ options = {} }: ImageFormat, words: readonly RawParameter[]) =>
  understand(options, words).values;

/** Values as qemu takes them, for our own reader. */
function checked(key: string, type: string, value: string): string {
  if (type === 'boolean') return isOn(key, value) ? 'on' : 'off';
  if (type !== 'size') return value;
  return `${optionSize(key, value)}`;
}

function optionSize(key: string, value: string): bigint {
  const size = sizeOf(value);
  if (size !== undefined) return size;
  throw new UsageError(
    `Parameter '${key}' expects a non-negative number below 2^64`,
    'Optional suffix k, M, G, T, P or E means kilo-, mega-, giga-, tera-, peta-\nand exabytes, respectively.',
  );
}

async function checkBacking(
  opening: Opening,
  { unsafe, name }: Wish,
  backing: string,
  format: string | undefined,
): Promise<void> {
  if (backing === '') throw new UsageError('Expected backing file name, got empty string');
  if (format === undefined) {
    if (unsafe) throw new UsageError('Backing file specified without backing format');
    const found = await lookAt(opening, fullName(backing, name), undefined);
    throw new UsageError(
      'Backing file specified without backing format',
      `Detected format of ${found.format}.`,
    );
  }
  if (!formatNames.includes(format))
    throw new UsageError(`Unknown backing file format '${format}'`);
}

async function sizeOfBacking(
  opening: Opening,
  { unsafe, name }: Wish,
  backing: string | undefined,
  format: string | undefined,
): Promise<bigint | undefined> {
  if (backing === undefined || unsafe) return undefined;
  return (await lookAt(opening, fullName(backing, name), format)).device.size;
}

/** A backing file, which is closed again. @throws UsageError */
async function lookAt(opening: Opening, name: string, format: string | undefined): Promise<Image> {
  try {
    const opened = await opening.open(name, { readOnly: true, alone: true, format });
    await opened.close();
    return opened.image;
  } catch (error) {
    const { cause = error } = error as Error;
    throw new UsageError(messageOf(cause), 'Could not open backing image.');
  }
}

/** The options as qemu-img shows them: its order, with the defaults that it shows. */
function shown(
  declared: ParameterDeclarations,
  words: readonly RawParameter[],
  size: bigint,
): string {
  const order = ['cluster_size', 'extended_l2', 'preallocation', 'compression_type', 'size'];
  const always = [
    'cluster_size',
    'extended_l2',
    'compression_type',
    'lazy_refcounts',
    'refcount_bits',
  ];
  const late = ['lazy_refcounts', 'refcount_bits'];
  const keys = Object.keys(declared);
  const middle = keys.filter(key => !order.includes(key) && !late.includes(key));
  return [...order, ...middle, ...late]
    .map(key => {
      if (key === 'size') return ` size=${size}`;
      const value = words.find(word => word.key === key)?.value;
      const unsaid =
        always.includes(key) && keys.includes(key) ? shortDefault(declared, key) : undefined;
      return value === undefined && unsaid === undefined ? '' : ` ${key}=${value ?? unsaid}`;
    })
    .join('');
}

const shortDefault = (declared: ParameterDeclarations, key: string) => declared[key]!.default;
