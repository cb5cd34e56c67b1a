import { randomBytes } from 'node:crypto';
import type { BlockDevice } from '../../block/device.ts';
import { BlockError } from '../../block/errors.ts';
import { hashName } from '../../encryption/cipher-spec.ts';
import type { Derivation } from '../../encryption/key-derivation.ts';
import { areaBytes, type LuksHeader } from './header.ts';
import { JsonAt, type JsonObject } from './json.ts';
import { LUKS2_SLOTS, type Luks2Fields, luks2Bytes, slotsRoom } from './luks2.ts';
import { newArgon2, newPbkdf2 } from './seal.ts';
import type { Editor } from './slots.ts';

type Objects = { [number: string]: JsonObject };

/** Changes the slots of a header of version 2. */
export function luks2Editor(
  device: BlockDevice,
  { fields: found, header }: { fields: Luks2Fields; header: LuksHeader },
): Editor {
  let fields = found;
  /** Writes both headers with what `change` makes of the metadata. */
  const write = async (change: (json: JsonObject) => void) => {
    const json = structuredClone(fields.json.object());
    change(json);
    fields = { ...fields, sequence: fields.sequence + 1n, json: JsonAt.of(json) };
    await writeLuks2(device, fields);
  };
  const slotJson = (number: number) => fields.json.get('keyslots').get(`${number}`);
  return {
    most: LUKS2_SLOTS,
    async plan(number, { number: other, derivation, stripes, hash, cipher, cipherBytes }, cost) {
      if (fields.json.get('keyslots').has(`${number}`)) {
        throw new BlockError('EBUSY', `LUKS: key slot ${number} is in use for something else`);
      }
      const renewed =
        derivation.kind === 'pbkdf2'
          ? await newPbkdf2(
              hashName(slotJson(other).get('kdf').get('hash').text()),
              cipherBytes,
              cost,
            )
          : await newArgon2(derivation.kind, cipherBytes, cost);
      const offset = freeArea(fields, areaBytes(header.keyBytes, stripes));
      return { offset, stripes, hash, cipher, cipherBytes, derivation: renewed };
    },
    put: (number, { offset, stripes, derivation }, model) =>
      write(json => {
        const slots = json.keyslots as Objects;
        const like = slots[model.number]!;
        const kdf = like.kdf as JsonObject;
        const area = like.area as JsonObject;
        slots[number] = {
          type: 'luks2',
          key_size: like.key_size,
          af: like.af,
          area: { ...area, offset: `${offset}`, size: `${areaBytes(header.keyBytes, stripes)}` },
          kdf: kdfJson(derivation, kdf.hash as string),
        };
        for (const digest of Object.values(json.digests as Objects)) {
          const keyslots = digest.keyslots as string[];
          if (keyslots.includes(`${model.number}`)) keyslots.push(`${number}`);
        }
      }),
    drop: number =>
      write(json => {
        delete (json.keyslots as Objects)[number];
        const users = [
          ...Object.values(json.digests as Objects),
          ...Object.values((json.tokens ?? {}) as Objects),
        ];
        for (const user of users) {
          if (!Array.isArray(user.keyslots)) continue;
          user.keyslots = user.keyslots.filter(each => each !== `${number}`);
        }
      }),
  };
}

/** @param hash as LUKS names it, of PBKDF2. */
export function kdfJson(derivation: Derivation, hash: string): JsonObject {
  const salt = Buffer.from(derivation.salt).toString('base64');
  if (derivation.kind === 'pbkdf2') {
    return { type: 'pbkdf2', hash, iterations: derivation.iterations, salt };
  }
  const { kind, time, memory, lanes } = derivation;
  return { type: kind, time, memory, cpus: lanes, salt };
}

/** Where so many bytes of key material are free. @throws BlockError ENOSPC */
function freeArea(fields: Luks2Fields, length: number): number {
  const { from, to } = slotsRoom(fields);
  const areas = Object.keys(fields.json.get('keyslots').object()).map(number => {
    const area = fields.json.get('keyslots').get(number).get('area');
    const offset = Number(area.get('offset').decimal());
    return { offset, end: offset + Number(area.get('size').decimal()) };
  });
  let start = from;
  for (const { offset, end } of areas.sort((a, b) => a.offset - b.offset)) {
    if (offset - start >= length) break;
    start = Math.max(start, end);
  }
  if (start + length <= to) return start;
  throw new BlockError('ENOSPC', 'LUKS: there is no room for another key slot');
}

/** Writes one header after the other, so that one of them is whole at any time. */
export async function writeLuks2(device: BlockDevice, fields: Luks2Fields): Promise<void> {
  for (const place of [0, fields.size]) {
    await device.write!(BigInt(place), luks2Bytes(fields, place, randomBytes(64)));
    await device.flush?.();
  }
}
