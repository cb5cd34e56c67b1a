import type { BlockDevice, RequestOptions } from '../block/device.ts';
import { BlockError } from '../block/errors.ts';

/** A passphrase, and which volumes it is for. */
export interface Key {
  /** /dev/sda1 or a UUID; undefined: any. */
  readonly id: string | undefined;
  readonly passphrase: Buffer;
}

export type Keys = readonly Key[];

/** Where LUKS has its UUID, as text. */
const UUID = { offset: 168, length: 40 } as const;

/**
 * What a LUKS volume holds, in the clear; undefined where there is no key for it.
 * @throws BlockError EACCES none of them opens it; what is wrong with it.
 */
export async function openEncrypted(
  name: string,
  device: BlockDevice,
  keys: Keys,
  options?: RequestOptions,
): Promise<{ readonly name: string; readonly device: BlockDevice } | undefined> {
  const { readBytes } = await import('../formats/luks/header.ts');
  const { openVolume, luksDevice } = await import('../formats/luks/device.ts');
  const bytes = await readBytes(device, UUID.offset, UUID.length, options);
  const uuid = bytes.toString('latin1').replace(/\0.*$/s, '');
  const own = keys.filter(({ id }) => id === undefined || id === name || id === uuid);
  if (own.length === 0) return undefined;
  for (const { passphrase } of own) {
    try {
      const volume = await openVolume(device, { passphrase: Buffer.from(passphrase), ...options });
      return { name: `/dev/mapper/luks-${uuid}`, device: luksDevice(device, volume) };
    } catch (error) {
      if (!(error instanceof BlockError) || error.errno !== 'EACCES') throw error;
    }
  }
  throw new BlockError('EACCES', 'none of the keys opens it');
}
