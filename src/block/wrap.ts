import type { BlockDevice } from './device.ts';

/** The methods through which data and offsets pass: a filter must say what it does with each. */
export type DataMethod = 'read' | 'write' | 'landing' | 'trim' | 'zero' | 'cache' | 'extents';

/**
 * One answer for each of the methods that carry data or offsets: a function of the filter's own,
 * 'pass' to hand the call down as it is, or undefined to take the capability away. Everything else
 * passes through unless it is given here too.
 */
export type Wrapping = {
  readonly [M in DataMethod]:
    | NonNullable<BlockDevice[M]>
    | 'pass'
    | (M extends 'read' ? never : undefined);
} & {
  readonly [P in Exclude<keyof BlockDevice, DataMethod | 'contexts' | 'portable'>]?: BlockDevice[P];
} & {
  /** Contexts carry offsets too. */
  readonly contexts: BlockDevice['contexts'] | 'pass';
};

const DATA_METHODS = ['read', 'write', 'landing', 'trim', 'zero', 'cache', 'extents'] as const;
const OTHERS = [
  'size',
  'description',
  'rotational',
  'multiConn',
  'blockSize',
  'fua',
  'fastZero',
] as const;

/** For filters that change no data and no offset: they name only what they watch or forbid. */
export const PASS = {
  read: 'pass',
  write: 'pass',
  landing: 'pass',
  trim: 'pass',
  zero: 'pass',
  cache: 'pass',
  extents: 'pass',
  contexts: 'pass',
} as const satisfies Wrapping;

/**
 * The device below as the filter shows it. What passes stays absent where the device below lacks it;
 * a function of the filter's own is a capability, so it is given only where it can be kept:
 * `write: below.write && (...)`.
 */
export function wrapDevice(below: BlockDevice, wrapping: Wrapping): BlockDevice {
  const device: Record<string, unknown> = {};
  for (const property of OTHERS) {
    device[property] = property in wrapping ? wrapping[property] : below[property];
  }
  device.contexts = wrapping.contexts === 'pass' ? below.contexts : wrapping.contexts;
  for (const method of DATA_METHODS) {
    const own = wrapping[method];
    const passed = below[method] as ((...args: never[]) => unknown) | undefined;
    if (own === 'pass') device[method] = passed?.bind(below);
    else device[method] = own;
  }
  device.flush = 'flush' in wrapping ? wrapping.flush : below.flush?.bind(below);
  device.close = 'close' in wrapping ? wrapping.close : below.close?.bind(below);
  return device as unknown as BlockDevice;
}
