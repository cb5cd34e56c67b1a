import type { BlockDevice } from '../../block/device.ts';
import { hashName } from '../../encryption/cipher-spec.ts';
import { LUKS_SECTOR, type LuksHeader, STRIPES } from './header.ts';
import {
  LUKS1_SLOTS,
  type Luks1Fields,
  type Luks1Slot,
  luks1Bytes,
  luks1Header,
  luks1Room,
} from './luks1.ts';
import { newPbkdf2 } from './seal.ts';
import type { Editor } from './slots.ts';

/** Changes the slots of a header of version 1, whose places are fixed when it is made. */
export function luks1Editor(
  device: BlockDevice,
  { fields: found, header }: { fields: Luks1Fields; header: LuksHeader },
  detached = false,
): Editor {
  let fields = found;
  const withSlot = (number: number, slot: Partial<Luks1Slot>): Luks1Fields => ({
    ...fields,
    slots: fields.slots.map((each, index) => (index === number ? { ...each, ...slot } : each)),
  });
  const write = async (changed: Luks1Fields) => {
    await device.write!(0n, luks1Bytes(changed));
    await device.flush?.();
    fields = changed;
  };
  return {
    most: LUKS1_SLOTS,
    async plan(number, { cipher }, cost) {
      const stripes = fields.slots[number]!.stripes || STRIPES;
      // What is not in use may be anywhere until it has been looked at.
      luks1Header(withSlot(number, { active: true, stripes }), luks1Room(fields, device, detached));
      const hash = hashName(fields.hash);
      return {
        offset: fields.slots[number]!.offset * LUKS_SECTOR,
        stripes,
        hash,
        cipher,
        cipherBytes: header.keyBytes,
        derivation: await newPbkdf2(hash, header.keyBytes, cost),
      };
    },
    async put(number, { stripes, derivation }) {
      if (derivation.kind !== 'pbkdf2') throw new TypeError('version 1 knows PBKDF2 only');
      const { iterations, salt } = derivation;
      await write(withSlot(number, { active: true, stripes, iterations, salt }));
    },
    async drop(number) {
      await write(withSlot(number, { active: false, iterations: 0, salt: Buffer.alloc(32) }));
    },
  };
}
