import { byteLength } from './data.ts';
import { type BlockDevice, type BlockSize, MAX_SIZE, type MetaContext } from './device.ts';
import { BlockError } from './errors.ts';
import {
  aBoolean,
  aFunction,
  aString,
  type Check,
  faultOf,
  listOf,
  mustBe,
  oneOf,
  optional,
  shown,
} from './shape.ts';

/** Each member; but for the recipe, which is made when it is asked for. */
type Members<T> = Readonly<Record<keyof T, Check>>;

const method = optional(aFunction);
const flag = optional(aBoolean);
const support = (...words: string[]) => optional(oneOf(words));

const isPowerOfTwo = (value: unknown, least: number, most: number) =>
  typeof value === 'number' &&
  value >= least &&
  value <= most &&
  Number.isInteger(Math.log2(value));

const BLOCK_SIZE: Members<BlockSize> = {
  minimum: mustBe('a power of two from 1 to 65536', value => isPowerOfTwo(value, 1, 65536)),
  preferred: mustBe('a power of two from 512 on', value => isPowerOfTwo(value, 512, 2 ** 31)),
  maximum: mustBe(
    'a whole number below 2^32',
    value => Number.isInteger(value) && (value as number) < 2 ** 32,
  ),
  advisory: flag,
};

const blockSize: Check = (value, name) => {
  const fault = faultOf(value, BLOCK_SIZE, name);
  if (fault !== undefined) return fault;
  const { minimum, preferred, maximum } = value as BlockSize;
  if (minimum <= preferred && preferred <= maximum) return undefined;
  return `${name}: minimum, preferred and maximum must be in this order`;
};

const CONTEXT: Members<MetaContext> = { name: aString, status: aFunction };

const DEVICE: Members<Omit<BlockDevice, 'recipe'>> = {
  size: mustBe(
    'a bigint from 0 to 2^63-1',
    value => typeof value === 'bigint' && value >= 0n && value <= MAX_SIZE,
  ),
  description: optional(aString),
  rotational: flag,
  multiConn: flag,
  blockSize: optional(blockSize),
  fua: support('none', 'emulated', 'native'),
  zeroing: support('none', 'emulated'),
  fastZero: support('none', 'emulated', 'native'),
  caching: support('none', 'emulated'),
  opaque: flag,
  contexts: optional(listOf((value, name) => faultOf(value, CONTEXT, name))),
  read: aFunction,
  write: method,
  writeBuffer: method,
  flush: method,
  trim: method,
  zero: method,
  cache: method,
  extents: method,
  resize: method,
  close: method,
};

/**
 * The device, when it has the form of the contract.
 * @param part whose device it is, for the words of the error.
 * @throws BlockError EIO which member is wrong, and what would be right.
 */
export function checkDevice(device: BlockDevice, part?: string): BlockDevice {
  const fault = faultOf(device, DEVICE);
  if (fault === undefined) return device;
  throw new BlockError('EIO', `the device${part === undefined ? '' : ` of ${part}`}: ${fault}`);
}

/** What is wrong with the answer to a read of that many bytes; undefined when it is as it must be. */
export function badAnswer(data: unknown, length: number): BlockError | undefined {
  if (data instanceof Uint8Array && data.length === length) return undefined;
  const views = Array.isArray(data) ? data : [data];
  if (!views.every(view => view instanceof Uint8Array)) {
    return new BlockError('EIO', `read must give bytes, not ${shown(data)}`);
  }
  const got = byteLength(views);
  if (got === length) return undefined;
  return new BlockError('EIO', `read gave ${got} bytes instead of ${length}`);
}
