import { randomBytes } from 'node:crypto';
import { alignedDevice } from '../../block/aligned.ts';
import type { BlockDevice, RequestOptions } from '../../block/device.ts';
import { BlockError } from '../../block/errors.ts';
import type { DerivationLimits } from '../../encryption/key-derivation.ts';
import { type KeySlot, type LuksHeader, materialBytes } from './header.ts';
import { luks1Editor } from './luks1-slots.ts';
import { luks2Editor } from './luks2-slots.ts';
import { readHeader } from './read.ts';
import { type Cost, type Seal, sealKey } from './seal.ts';
import { unlock } from './unlock.ts';

/** What changes the slots of a version's header. */
export interface Editor {
  /** How many slots there may be. */
  readonly most: number;
  /** Where and how a free slot is to be sealed, like one that is in use. @throws BlockError */
  plan(number: number, model: KeySlot, cost: Cost): Promise<Seal>;
  /** Says in the header that a slot is in use. */
  put(number: number, seal: Seal, model: KeySlot): Promise<void>;
  /** Says that it is not. */
  drop(number: number): Promise<void>;
}

export interface AddOptions extends Cost, DerivationLimits {
  /** One that opens the volume. */
  readonly passphrase: Uint8Array;
  /** The one to add. */
  readonly added: Uint8Array;
  /** The slot to use; the first free one unless told. */
  readonly slot?: number | undefined;
  /** The data is on another device than the header. */
  readonly detached?: boolean | undefined;
  readonly memory?: number | undefined;
}

/**
 * Adds a passphrase to a volume.
 * @param device that the header is on.
 * @returns the slot that it is in.
 * @throws BlockError EACCES, EBUSY for a slot that is in use, ENOSPC when none is free.
 */
export async function addSlot(device: BlockDevice, options: AddOptions): Promise<number> {
  const { place, header, editor } = await edit(device, options);
  const number = freeSlot(header, editor.most, options.slot);
  const { key, slot: model } = await unlock(place, header, { ...options, slot: undefined });
  try {
    const seal = await editor.plan(number, model, options);
    await sealKey(place, seal, key, options.added);
    await editor.put(number, seal, model);
    return number;
  } finally {
    key.fill(0);
  }
}

function freeSlot({ slots }: LuksHeader, most: number, wanted: number | undefined): number {
  const isFree = (number: number) => slots.every(slot => slot.number !== number);
  if (wanted !== undefined) {
    if (!(wanted >= 0 && wanted < most)) {
      throw new BlockError('EINVAL', `LUKS: key slot ${wanted}: expected 0 to ${most - 1}`);
    }
    if (isFree(wanted)) return wanted;
    throw new BlockError('EBUSY', `LUKS: key slot ${wanted} is in use`);
  }
  const first = Array.from({ length: most }, (_, number) => number).find(isFree);
  if (first !== undefined) return first;
  throw new BlockError('ENOSPC', `LUKS: all ${most} key slots are in use`);
}

export interface RemoveOptions extends DerivationLimits {
  /** The slot to remove, or all that a passphrase opens. */
  readonly which: number | Uint8Array;
  /** Even when nobody can open the volume any more. */
  readonly force?: boolean | undefined;
  readonly detached?: boolean | undefined;
}

/**
 * Removes passphrases from a volume, and the keys that they opened from the disk.
 * @param device that the header is on.
 * @returns the slots that they were in.
 * @throws BlockError EPERM for the last one without `force`, ENOENT, EACCES
 */
export async function removeSlots(
  device: BlockDevice,
  { which, force = false, ...options }: RemoveOptions,
): Promise<number[]> {
  const { place, header, editor } = await edit(device, options);
  const slots = await found(place, header, which, options);
  if (slots.length === header.slots.length && !force) {
    throw new BlockError('EPERM', 'LUKS: nothing would open the volume any more');
  }
  for (const { number, offset, stripes } of slots) {
    // Before the header says so: what was to be removed must not stay.
    const rubbish = randomBytes(materialBytes(header.keyBytes, stripes));
    await place.write!(BigInt(offset), rubbish);
    await place.flush?.();
    await editor.drop(number);
  }
  return slots.map(({ number }) => number);
}

async function found(
  place: BlockDevice,
  header: LuksHeader,
  which: number | Uint8Array,
  limits: DerivationLimits,
): Promise<KeySlot[]> {
  if (typeof which === 'number') {
    const slot = header.slots.find(({ number }) => number === which);
    if (slot) return [slot];
    throw new BlockError('ENOENT', `LUKS: key slot ${which} is not in use`);
  }
  const opened: KeySlot[] = [];
  for (let left = header.slots; ; ) {
    try {
      const rest = { ...header, slots: left };
      const { slot, key } = await unlock(place, rest, { ...limits, passphrase: which });
      key.fill(0);
      opened.push(slot);
      left = left.filter(each => each !== slot);
    } catch (error) {
      if (opened.length > 0 && (error as BlockError).errno === 'EACCES') return opened;
      throw error;
    }
  }
}

async function edit(
  device: BlockDevice,
  options: RequestOptions & { detached?: boolean | undefined },
) {
  const place = alignedDevice(device);
  const read = await readHeader(place, options);
  const { header } = read;
  const editor =
    read.version === 1 ? luks1Editor(place, read, options.detached) : luks2Editor(place, read);
  return { place, header, editor };
}
