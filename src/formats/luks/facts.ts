import { alignedDevice } from '../../block/aligned.ts';
import type { BlockDevice } from '../../block/device.ts';
import { LUKS_SECTOR, readBytes } from './header.ts';
import { LUKS1_BYTES, parseLuks1 } from './luks1.ts';
import { readHeader } from './read.ts';

/** What a header says to whoever has no passphrase, in qemu's words. @throws BlockError */
export async function luksFacts(device: BlockDevice): Promise<Record<string, unknown>> {
  const place = alignedDevice(device);
  const { header } = await readHeader(place, { detached: true });
  const { uuid, slots, payload } = header;
  if (header.version === 2) {
    return {
      version: 2,
      uuid,
      slots: slots.map(({ number, offset, stripes, derivation }) => ({
        number,
        kdf: derivation.kind,
        'key-offset': offset,
        stripes,
      })),
      'payload-offset': payload.offset,
      'sector-size': payload.sector,
    };
  }
  return luks1Facts(await readBytes(place, 0, LUKS1_BYTES));
}

function luks1Facts(bytes: Buffer): Record<string, unknown> {
  const { cipher, mode, hash, keyBytes, uuid, slots, payload, iterations } = parseLuks1(bytes);
  const [, chaining = mode, vector = '', vectorHash] = /^([^-]*)-([^:]*):?(.*)$/.exec(mode) ?? [];
  const bits = (chaining === 'xts' ? keyBytes / 2 : keyBytes) * 8;
  return {
    'ivgen-alg': vector,
    'hash-alg': hash,
    'cipher-alg': `${cipher}-${bits}`,
    uuid,
    ...(vectorHash && { 'ivgen-hash-alg': vectorHash }),
    'cipher-mode': chaining,
    slots: slots.map(slot => ({
      active: slot.active,
      ...(slot.active && { iters: slot.iterations }),
      'key-offset': slot.offset * LUKS_SECTOR,
      ...(slot.active && { stripes: slot.stripes }),
    })),
    'payload-offset': payload * LUKS_SECTOR,
    'master-key-iters': iterations,
  };
}
