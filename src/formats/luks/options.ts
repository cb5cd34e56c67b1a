import type { ParameterDeclarations, ParameterValues } from '../../declare/parameters.ts';
import type { CreateOptions } from './create.ts';

/** How a new volume is encrypted, by qemu's names. */
export const CIPHER_OPTIONS = {
  'cipher-alg': { type: 'string', help: 'Name of encryption cipher algorithm' },
  'cipher-mode': { type: 'string', help: 'Name of encryption cipher mode' },
  'ivgen-alg': { type: 'string', help: 'Name of IV generator algorithm' },
  'ivgen-hash-alg': { type: 'string', help: 'Name of IV generator hash algorithm' },
  'hash-alg': { type: 'string', help: 'Name of encryption hash algorithm' },
  'iter-time': { type: 'integer', help: 'Time to spend in PBKDF in milliseconds' },
} as const satisfies ParameterDeclarations;

type Chosen = ParameterValues<typeof CIPHER_OPTIONS>;

/** Before the options of a volume inside an image. */
const PREFIX = 'encrypt.';

type Within<T> = { readonly [K in keyof T & string as `${typeof PREFIX}${K}`]: T[K] };

/** The same for a volume inside an image. */
export const INNER_CIPHER_OPTIONS = Object.fromEntries(
  Object.entries(CIPHER_OPTIONS).map(([key, option]) => [PREFIX + key, option]),
) as Within<typeof CIPHER_OPTIONS>;

/** What was chosen for a volume. */
export function cipherOf(options: Chosen): Omit<CreateOptions, 'passphrase' | 'version'> {
  return {
    cipherAlg: options['cipher-alg'],
    cipherMode: options['cipher-mode'],
    ivgenAlg: options['ivgen-alg'],
    ivgenHashAlg: options['ivgen-hash-alg'],
    hashAlg: options['hash-alg'],
    iterTime: options['iter-time'],
  };
}

/** What was chosen for a volume inside an image. */
export function innerCipherOf(options: Within<Chosen>) {
  const plain = Object.entries(options).map(([key, value]) => [key.replace(PREFIX, ''), value]);
  return cipherOf(Object.fromEntries(plain) as Chosen);
}
