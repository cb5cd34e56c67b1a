import type { BlockDevice } from '../../block/device.ts';
import { BlockError } from '../../block/errors.ts';
import { mergeKey } from '../../encryption/anti-forensic.ts';
import { type DerivationLimits, deriveKey, isKeyOf } from '../../encryption/key-derivation.ts';
import { sectorCipher } from '../../encryption/sector-cipher.ts';
import { type KeySlot, type LuksHeader, materialBytes, readBytes } from './header.ts';

export interface UnlockOptions extends DerivationLimits {
  readonly passphrase: Uint8Array;
  /** Only this slot. */
  readonly slot?: number | undefined;
}

/** A slot that was opened, and the volume key in it, which the caller wipes. */
export interface Unlocked {
  readonly slot: KeySlot;
  readonly key: Buffer;
}

/**
 * Tries the slots of a header until a passphrase opens one.
 * @param device that the header is on.
 * @throws BlockError EACCES when it opens none, ENOENT when there is no such slot.
 */
export async function unlock(
  device: BlockDevice,
  header: LuksHeader,
  { passphrase, slot: only, ...limits }: UnlockOptions,
): Promise<Unlocked> {
  const slots =
    only === undefined
      ? header.slots.filter(slot => slot.priority > 0).toSorted((a, b) => b.priority - a.priority)
      : header.slots.filter(slot => slot.number === only);
  if (only !== undefined && slots.length === 0) {
    throw new BlockError('ENOENT', `LUKS: key slot ${only} is not in use`);
  }
  let failure: unknown = new BlockError(
    'EACCES',
    only === undefined
      ? `LUKS: the passphrase opens none of the ${slots.length} key slots`
      : `LUKS: the passphrase does not open key slot ${only}`,
  );
  for (const slot of slots) {
    limits.signal?.throwIfAborted();
    try {
      const key = await openSlot(device, slot, header.keyBytes, passphrase, limits);
      if (key) return { slot, key };
    } catch (error) {
      // Another slot may need less, or be whole.
      failure = error;
    }
  }
  throw failure;
}

async function openSlot(
  device: BlockDevice,
  slot: KeySlot,
  keyBytes: number,
  passphrase: Uint8Array,
  limits: DerivationLimits,
): Promise<Buffer | undefined> {
  const length = materialBytes(keyBytes, slot.stripes);
  const material = await readBytes(device, slot.offset, length, limits);
  const derived = await deriveKey(passphrase, slot.derivation, slot.cipherBytes, limits);
  try {
    const cipher = sectorCipher(slot.cipher, derived);
    cipher.decrypt(material, 0n);
    cipher.close();
    const key = mergeKey(material, keyBytes, slot.stripes, slot.hash);
    if (await isKeyOf(key, slot.digest.derivation, slot.digest.bytes)) return key;
    key.fill(0);
    return undefined;
  } finally {
    derived.fill(0);
    material.fill(0);
  }
}
