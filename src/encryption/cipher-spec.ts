import { getCiphers, getHashes } from 'node:crypto';
import { BlockError } from '../block/errors.ts';
import { harmless } from '../protocol/text.ts';

/** How sectors are encrypted, as dm-crypt says it: CIPHER-MODE-IV:HASH. */
export interface CipherSpec {
  readonly cipher: string;
  readonly mode: Mode;
  /** Where a sector's initialisation vector comes from; none in ECB. */
  readonly iv: 'plain' | 'plain64' | 'essiv' | 'none';
  /** What ESSIV hashes the key with, as node:crypto names it. */
  readonly ivHash?: string | undefined;
}

type Mode = 'xts' | 'cbc' | 'ecb';

const MODES: Readonly<Record<string, readonly CipherSpec['iv'][]>> = {
  xts: ['plain', 'plain64', 'essiv'],
  cbc: ['plain', 'plain64', 'essiv'],
  // It has no vectors, but qemu names some.
  ecb: ['none', 'plain', 'plain64'],
};

/** Ciphers with blocks of 128 bits that OpenSSL has; what else LUKS names, such as serpent, it lacks. */
const CIPHERS = ['aes', 'camellia', 'aria', 'sm4'];

/**
 * Of a cipher and its mode, as both versions of LUKS have them: `aes`, `xts-plain64`.
 * @throws BlockError ENOTSUP naming what is unknown.
 */
export function cipherSpec(cipher: string, mode: string): CipherSpec {
  const text = harmless(`${cipher}-${mode}`);
  if (!CIPHERS.includes(cipher)) {
    throw new BlockError(
      'ENOTSUP',
      `the cipher '${text}' is not supported: expected one of ${CIPHERS.join(', ')}`,
    );
  }
  const [, chaining = '', vector = 'none', hash] =
    /^([a-z]+)(?:-([a-z\d]+)(?::(.+))?)?$/.exec(mode) ?? [];
  const iv = MODES[chaining]?.find(known => known === vector);
  if (!iv || (iv === 'essiv') !== (hash !== undefined)) {
    throw new BlockError(
      'ENOTSUP',
      `the mode of the cipher '${text}' is not supported: expected xts-plain64, cbc-essiv:HASH, ecb and the like`,
    );
  }
  const known = { cipher, mode: chaining as Mode, ivHash: hash && hashName(hash) };
  return { ...known, iv: chaining === 'ecb' ? 'none' : iv };
}

/** The same of one word: `aes-xts-plain64`. @throws BlockError ENOTSUP */
export function parseCipher(text: string): CipherSpec {
  const dash = text.indexOf('-');
  return dash < 0 ? cipherSpec(text, '') : cipherSpec(text.slice(0, dash), text.slice(dash + 1));
}

/** The name in node:crypto of a hash of LUKS. @throws BlockError ENOTSUP */
export function hashName(hash: string): string {
  const name = hash.replace(/^(blake2[bs])-/, '$1');
  if (/^[a-z][a-z\d-]*$/.test(name) && getHashes().includes(name)) return name;
  throw new BlockError('ENOTSUP', `the hash '${harmless(hash)}' is not supported`);
}

/**
 * The name in OpenSSL of a block cipher by itself. @param bytes of the key.
 * @throws BlockError EINVAL when there are no keys of this length.
 */
export function blockCipher(cipher: string, bytes: number, chaining: 'ecb' | 'cbc'): string {
  const name = cipher === 'sm4' ? `sm4-${chaining}` : `${cipher}-${bytes * 8}-${chaining}`;
  const known = getCiphers().includes(name) && (cipher !== 'sm4' || bytes === 16);
  if (known) return name;
  throw new BlockError('EINVAL', `${cipher} has no keys of ${bytes * 8} bits`);
}
