import { randomBytes, randomUUID } from 'node:crypto';
import { alignedDevice } from '../../block/aligned.ts';
import type { BlockDevice } from '../../block/device.ts';
import { zeroRange } from '../../block/emulate.ts';
import { BlockError } from '../../block/errors.ts';
import {
  blockCipher,
  type CipherSpec,
  cipherSpec,
  hashName,
} from '../../encryption/cipher-spec.ts';
import { ALIGNMENT, areaBytes, type KeyDigest, LUKS_SECTOR, STRIPES } from './header.ts';
import { JsonAt } from './json.ts';
import { LUKS1_SLOTS, luks1Bytes } from './luks1.ts';
import { BINARY_BYTES, type Luks2Fields } from './luks2.ts';
import { kdfJson, writeLuks2 } from './luks2-slots.ts';
import { type Cost, digestOf, newArgon2, newPbkdf2, SALT_BYTES, sealKey } from './seal.ts';

/** What the luks driver of qemu takes, with the second version beside. */
export interface CreateOptions extends Cost {
  readonly passphrase: Uint8Array;
  /** 1 unless told. */
  readonly version?: 1 | 2 | undefined;
  /** `aes-256` unless told: a cipher and the bits of its key, of which XTS takes two. */
  readonly cipherAlg?: string | undefined;
  /** `xts` unless told, or `cbc`, `ecb`. */
  readonly cipherMode?: string | undefined;
  /** `plain64` unless told, or `plain`, `essiv`. */
  readonly ivgenAlg?: string | undefined;
  /** `sha256` unless told; for ESSIV. */
  readonly ivgenHashAlg?: string | undefined;
  /** `sha256` unless told: what passphrases and keys are hashed with. */
  readonly hashAlg?: string | undefined;
  /** Of version 2: `argon2id` unless told. */
  readonly pbkdf?: 'argon2id' | 'argon2i' | 'pbkdf2' | undefined;
  /** Of version 2: bytes of a sector, 512 to 4096; 512 unless told. */
  readonly sectorSize?: number | undefined;
  /** The data is elsewhere, from its beginning on. */
  readonly detached?: boolean | undefined;
}

const HEADER2_BYTES = 16384;
/** Where the data begins: the headers of version 2 and room for slots, as cryptsetup makes them. */
const PAYLOAD2 = 16 << 20;

/** Options, understood. */
interface Plan {
  /** As LUKS writes them. */
  readonly names: { readonly cipher: string; readonly mode: string; readonly hash: string };
  readonly cipher: CipherSpec;
  readonly keyBytes: number;
  readonly hash: string;
}

/** @throws BlockError EINVAL, ENOTSUP */
function planOf(options: CreateOptions): Plan {
  const { cipherAlg = 'aes-256', cipherMode = 'xts', hashAlg = 'sha256' } = options;
  const { ivgenAlg = 'plain64', ivgenHashAlg = 'sha256' } = options;
  const [, name = '', bits] = /^([a-z\d]+)-(\d+)$/.exec(cipherAlg) ?? [];
  const single = Number(bits) / 8;
  const iv = ivgenAlg === 'essiv' ? `essiv:${ivgenHashAlg}` : ivgenAlg;
  const mode = `${cipherMode}-${iv}`;
  const cipher = cipherSpec(name || cipherAlg, mode);
  blockCipher(cipher.cipher, single, 'ecb');
  const keyBytes = cipher.mode === 'xts' ? single * 2 : single;
  return {
    names: { cipher: name, mode, hash: hashAlg },
    cipher,
    keyBytes,
    hash: hashName(hashAlg),
  };
}

/** How many bytes stand before the data, on a device that has both. @throws BlockError */
export function bytesBeforeData(options: CreateOptions): number {
  if (options.version === 2) return PAYLOAD2;
  return ALIGNMENT + LUKS1_SLOTS * areaBytes(planOf(options).keyBytes, STRIPES);
}

/**
 * Makes a volume with a new key of a device, which holds `bytesBeforeData` and the data; what was
 * there before is lost.
 * @throws BlockError EINVAL, ENOTSUP
 */
export async function createLuks(device: BlockDevice, options: CreateOptions): Promise<void> {
  const place = alignedDevice(device);
  const length = bytesBeforeData(options);
  if (BigInt(length) > place.size) {
    throw new BlockError('ENOSPC', `LUKS: the header takes ${length} bytes, of ${place.size}`);
  }
  const plan = planOf(options);
  const { sectorSize = LUKS_SECTOR } = options;
  if (![512, 1024, 2048, 4096].includes(sectorSize)) {
    throw new BlockError('EINVAL', `LUKS: sectors of ${sectorSize} bytes: expected 512 to 4096`);
  }
  // Keys of a volume that was here before open nothing any more.
  await zeroRange(place, 0n, length, { mayTrim: true });
  const key = randomBytes(plan.keyBytes);
  try {
    await (options.version === 2 ? createLuks2 : createLuks1)(place, plan, key, options);
  } finally {
    key.fill(0);
  }
}

async function createLuks1(
  device: BlockDevice,
  { names, cipher, keyBytes, hash }: Plan,
  key: Buffer,
  options: CreateOptions,
): Promise<void> {
  const area = areaBytes(keyBytes, STRIPES);
  const digest = await digestOf(key, hash, 20, options);
  const derivation = await newPbkdf2(hash, keyBytes, options);
  const first = { offset: ALIGNMENT, stripes: STRIPES, hash, cipher, cipherBytes: keyBytes };
  await sealKey(device, { ...first, derivation }, key, options.passphrase);
  const header = luks1Bytes({
    ...names,
    payload: options.detached ? 0 : bytesBeforeData(options) / LUKS_SECTOR,
    keyBytes,
    digest: digest.bytes,
    salt: digest.derivation.salt,
    iterations: digest.derivation.iterations,
    uuid: randomUUID(),
    slots: Array.from({ length: LUKS1_SLOTS }, (_, number) => ({
      active: number === 0,
      iterations: number === 0 ? derivation.iterations : 0,
      salt: number === 0 ? derivation.salt : Buffer.alloc(SALT_BYTES),
      offset: (ALIGNMENT + number * area) / LUKS_SECTOR,
      stripes: STRIPES,
    })),
  });
  await device.write!(0n, header);
  await device.flush?.();
}

async function createLuks2(
  device: BlockDevice,
  { names, cipher, keyBytes, hash }: Plan,
  key: Buffer,
  options: CreateOptions,
): Promise<void> {
  const { pbkdf = 'argon2id', sectorSize = 512, passphrase } = options;
  const encryption = `${names.cipher}-${names.mode}`;
  const derivation =
    pbkdf === 'pbkdf2'
      ? await newPbkdf2(hash, keyBytes, options)
      : await newArgon2(pbkdf, keyBytes, options);
  const slot = { offset: 2 * HEADER2_BYTES, stripes: STRIPES, hash, cipher, cipherBytes: keyBytes };
  await sealKey(device, { ...slot, derivation }, key, passphrase);
  const digest = await digestOf(key, hash, 32, options);
  const json = {
    keyslots: {
      '0': {
        type: 'luks2',
        key_size: keyBytes,
        af: { type: 'luks1', stripes: STRIPES, hash: names.hash },
        area: {
          type: 'raw',
          offset: `${slot.offset}`,
          size: `${areaBytes(keyBytes, STRIPES)}`,
          encryption,
          key_size: keyBytes,
        },
        kdf: kdfJson(derivation, names.hash),
      },
    },
    tokens: {},
    segments: {
      '0': {
        type: 'crypt',
        offset: `${options.detached ? 0 : PAYLOAD2}`,
        size: 'dynamic',
        iv_tweak: '0',
        encryption,
        sector_size: sectorSize,
      },
    },
    digests: { '0': digestJson(digest, names.hash) },
    config: {
      json_size: `${HEADER2_BYTES - BINARY_BYTES}`,
      keyslots_size: `${PAYLOAD2 - 2 * HEADER2_BYTES}`,
    },
  };
  const fields: Luks2Fields = {
    size: HEADER2_BYTES,
    sequence: 1n,
    label: '',
    uuid: randomUUID(),
    subsystem: '',
    json: JsonAt.of(json),
  };
  await writeLuks2(device, fields);
}

function digestJson({ derivation, bytes }: KeyDigest, hash: string) {
  return {
    type: 'pbkdf2',
    keyslots: ['0'],
    segments: ['0'],
    hash,
    iterations: derivation.iterations,
    salt: Buffer.from(derivation.salt).toString('base64'),
    digest: Buffer.from(bytes).toString('base64'),
  };
}
