import { randomBytes } from 'node:crypto';
import type { BlockDevice } from '../../block/device.ts';
import { splitKey } from '../../encryption/anti-forensic.ts';
import type { CipherSpec } from '../../encryption/cipher-spec.ts';
import {
  ARGON2_MEMORY,
  type Argon2,
  type Derivation,
  deriveKey,
  iterationsFor,
  type Pbkdf2,
} from '../../encryption/key-derivation.ts';
import { sectorCipher } from '../../encryption/sector-cipher.ts';
import { type KeyDigest, type KeySlot, materialBytes } from './header.ts';

export const SALT_BYTES = 32;
/** Fewer are no hindrance. */
const LEAST_ITERATIONS = 1000;

/** How hard it is to be to try passphrases. */
export interface Cost {
  /** Milliseconds that it takes here to open a slot; 2000 unless told. */
  readonly iterTime?: number | undefined;
  /** Most memory for Argon2, in bytes; 1 GiB unless told. */
  readonly memory?: number | undefined;
}

/** PBKDF2 with a new salt, as costly as asked for. @param hash as node:crypto names it. */
export async function newPbkdf2(hash: string, keyBytes: number, { iterTime = 2000 }: Cost) {
  const iterations = await iterationsFor(hash, keyBytes, iterTime);
  const salt = randomBytes(SALT_BYTES);
  return {
    kind: 'pbkdf2',
    hash,
    salt,
    iterations: Math.max(iterations, LEAST_ITERATIONS),
  } as const;
}

/** Argon2 with a new salt: as much memory as its time allows, and four passes or more. */
export async function newArgon2(
  kind: Argon2['kind'],
  keyBytes: number,
  { iterTime = 2000, memory = ARGON2_MEMORY }: Cost,
): Promise<Argon2> {
  const most = Math.floor(memory / 1024);
  const derivation = { kind, time: 4, memory: Math.min(most, 16384), lanes: 4 } as const;
  const salt = randomBytes(SALT_BYTES);
  const start = performance.now();
  (await deriveKey(salt, { ...derivation, salt }, keyBytes)).fill(0);
  const faster = iterTime / (performance.now() - start);
  const affordable = Math.floor(derivation.memory * faster);
  return {
    ...derivation,
    salt,
    memory: Math.max(8 * derivation.lanes, Math.min(most, affordable)),
    time: Math.max(4, Math.floor((4 * affordable) / most)),
  };
}

/** What is kept of a key, so that it is known again: with an eighth of the cost of a slot. */
export async function digestOf(
  key: Uint8Array,
  hash: string,
  bytes: number,
  { iterTime = 2000 }: Cost,
): Promise<KeyDigest> {
  const derivation: Pbkdf2 = await newPbkdf2(hash, bytes, { iterTime: iterTime / 8 });
  return { derivation, bytes: await deriveKey(key, derivation, bytes) };
}

/** How a slot is sealed: all of it but which one it is. */
export interface Seal extends Pick<KeySlot, 'offset' | 'stripes' | 'hash' | 'cipherBytes'> {
  readonly cipher: CipherSpec;
  readonly derivation: Derivation;
}

/** Puts the volume key into the area of a slot, for whoever has the passphrase. */
export async function sealKey(
  device: BlockDevice,
  seal: Seal,
  key: Uint8Array,
  passphrase: Uint8Array,
): Promise<void> {
  const material = Buffer.alloc(materialBytes(key.length, seal.stripes));
  const split = splitKey(key, seal.stripes, seal.hash);
  material.set(split);
  split.fill(0);
  const limits = { memory: Number.POSITIVE_INFINITY };
  const derived = await deriveKey(passphrase, seal.derivation, seal.cipherBytes, limits);
  const cipher = sectorCipher(seal.cipher, derived);
  derived.fill(0);
  cipher.encrypt(material, 0n);
  cipher.close();
  await device.write!(BigInt(seal.offset), material);
  await device.flush?.();
}
