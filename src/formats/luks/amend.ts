import type { BlockDevice } from '../../block/device.ts';
import { UsageError } from '../../block/errors.ts';
import type { ParameterDeclarations, RawParameter } from '../../declare/parameters.ts';
import type { Amending } from '../../images/image.ts';
import { CIPHER_OPTIONS } from './options.ts';
import { addSlot, removeSlots } from './slots.ts';

/** What can be changed of a volume, by qemu's names: one slot at a time. */
export const AMEND_OPTIONS = {
  state: {
    type: 'string',
    required: true,
    choices: ['active', 'inactive'],
    help: 'Select new state of affected keyslots (active/inactive)',
  },
  'new-secret': { type: 'string', help: 'New secret to set in the matching keyslots' },
  'old-secret': { type: 'string', help: 'Select all keyslots that match this password' },
  keyslot: { type: 'integer', help: 'Select a single keyslot to modify explicitly' },
  'iter-time': CIPHER_OPTIONS['iter-time'],
} as const satisfies ParameterDeclarations;

/**
 * Adds a passphrase to a volume, or removes some. @param passphrase one that opens it.
 * @throws UsageError what does not go together; BlockError EPERM for the last one without `force`
 */
export async function amendLuks(
  device: BlockDevice,
  passphrase: Buffer,
  words: readonly RawParameter[],
  { secret, force }: Amending,
): Promise<void> {
  const wish = new Map(words.map(({ key, value }) => [key, value]));
  const slot = wish.has('keyslot') ? Number(wish.get('keyslot')) : undefined;
  if (wish.get('state') === 'active') {
    if (!wish.has('new-secret')) {
      throw new UsageError("'new-secret' is required to activate a keyslot");
    }
    const iterTime = wish.has('iter-time') ? Number(wish.get('iter-time')) : undefined;
    const added = secret(wish.get('new-secret'));
    await addSlot(device, { passphrase, added, slot, iterTime });
    added.fill(0);
    return;
  }
  if (wish.has('new-secret')) {
    throw new UsageError("'new-secret' must not be given when erasing keyslots");
  }
  if (slot === undefined && !wish.has('old-secret')) {
    throw new UsageError(
      'To erase keyslot(s), either explicit keyslot index or the password currently contained in them must be given',
    );
  }
  await removeSlots(device, { which: slot ?? secret(wish.get('old-secret')), force });
}
