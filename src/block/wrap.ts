import type { BlockDevice } from './device.ts';

/**
 * Each member of a device, and what a filter has to do with it: `decided` ones carry data, offsets
 * or sizes, and a filter must say what becomes of them; `inherited` ones are those of the device
 * below unless the filter gives its own; `own` ones never pass, `untouched` ones where both reads and
 * writes do.
 */
const MEMBERS = {
  size: 'inherited',
  description: 'inherited',
  rotational: 'inherited',
  multiConn: 'inherited',
  blockSize: 'inherited',
  fua: 'inherited',
  zeroing: 'inherited',
  fastZero: 'inherited',
  caching: 'inherited',
  opaque: 'untouched',
  contexts: 'decided',
  recipe: 'own',
  read: 'decided',
  write: 'decided',
  writeBuffer: 'decided',
  flush: 'inherited',
  trim: 'decided',
  zero: 'decided',
  cache: 'decided',
  extents: 'decided',
  resize: 'decided',
  close: 'inherited',
} as const satisfies Readonly<
  Record<keyof BlockDevice, 'inherited' | 'decided' | 'own' | 'untouched'>
>;

type Member = keyof typeof MEMBERS;
type Decided = {
  [M in Member]: (typeof MEMBERS)[M] extends 'decided' ? M : never;
}[Member];

/**
 * One answer for each member that carries data, offsets or sizes: the filter's own, 'pass' to hand
 * it down as it is, or undefined to take the capability away. Everything else passes through unless
 * it is given here too.
 */
export type Wrapping = {
  readonly [M in Decided]:
    | NonNullable<BlockDevice[M]>
    | 'pass'
    | (M extends 'read' ? never : undefined);
} & { readonly [M in Exclude<Member, Decided>]?: BlockDevice[M] };

/** For filters that change no data and no offset: they name only what they watch or forbid. */
export const PASS = {
  contexts: 'pass',
  read: 'pass',
  write: 'pass',
  writeBuffer: 'pass',
  trim: 'pass',
  zero: 'pass',
  cache: 'pass',
  extents: 'pass',
  resize: 'pass',
} as const satisfies Wrapping;

/**
 * The device below as the filter shows it. What passes stays absent where the device below lacks it;
 * a function of the filter's own is a capability, so it is given only where it can be kept:
 * `write: below.write && (...)`. No write goes around a `write` of the filter's own: write buffers
 * pass only where writes do.
 */
export function wrapDevice(below: BlockDevice, wrapping: Wrapping): BlockDevice {
  const device = {};
  const untouched = wrapping.read === 'pass' && wrapping.write === 'pass';
  for (const member of Object.keys(MEMBERS) as Member[]) {
    const own = member in wrapping ? wrapping[member] : undefined;
    const inherits =
      MEMBERS[member] === 'inherited' || (MEMBERS[member] === 'untouched' && untouched);
    const passes = own === 'pass' || (inherits && !(member in wrapping));
    const bypass = member === 'writeBuffer' && own === 'pass' && wrapping.write !== 'pass';
    if (!passes || bypass) define(device, member, { value: bypass ? undefined : own });
    else if (typeof below[member] === 'function') {
      define(device, member, { value: (below[member] as () => void).bind(below) });
    } else define(device, member, { get: () => below[member] });
  }
  return device as BlockDevice;
}

/** Ordinary properties, so that a device can be spread. */
function define(device: object, member: Member, descriptor: PropertyDescriptor): void {
  const writable = 'value' in descriptor && { writable: true };
  const ordinary = { enumerable: true, configurable: true, ...writable };
  Object.defineProperty(device, member, { ...descriptor, ...ordinary });
}

/** Every member by name, if only to say `undefined`: for devices that are made of several others. */
export type EveryMember = { readonly [M in Member]: BlockDevice[M] | undefined };

/** A device whose maker has thought of every member. */
export function composed(device: EveryMember): BlockDevice {
  return device as BlockDevice;
}
