import { boundOnce } from './libc.ts';

/** A cipher of OpenSSL that works where the bytes are; node:crypto's makes memory for each answer. */
export interface InPlaceCipher {
  /** @param bytes whole blocks. */
  update(bytes: Uint8Array): void;
  /** Wipes its key. Nothing can be done with it afterwards. */
  free(): void;
}

/** OpenSSL as it is in Node itself, or in the library that Node is linked to. */
const openssl = boundOnce([null], library => {
  try {
    return {
      named: library.func('void *EVP_get_cipherbyname(str name)'),
      create: library.func('void *EVP_CIPHER_CTX_new()'),
      init: library.func(
        'int EVP_CipherInit_ex(void *ctx, void *cipher, void *engine, void *key, void *iv, int enc)',
      ),
      setPadding: library.func('int EVP_CIPHER_CTX_set_padding(void *ctx, int pad)'),
      update: library.func(
        'int EVP_CipherUpdate(void *ctx, void *out, void *written, void *in, int length)',
      ),
      free: library.func('void EVP_CIPHER_CTX_free(void *ctx)'),
    };
  } catch {
    return undefined;
  }
});

/** Where OpenSSL says how much it has written, which is known before. */
const WRITTEN = Buffer.alloc(4);

/**
 * A cipher by its name in OpenSSL, without padding.
 * @param iv of ciphers that have one.
 * @returns undefined where OpenSSL cannot be called, or does not take the key.
 */
export function inPlaceCipher(
  name: string,
  key: Uint8Array,
  { iv = null, encrypt }: { iv?: Uint8Array | null; encrypt: boolean },
): InPlaceCipher | undefined {
  const bound = openssl();
  const cipher = bound?.named(name);
  if (!bound || !cipher) return undefined;
  let context = bound.create();
  const free = () => {
    if (context) bound.free(context);
    context = undefined;
  };
  if (bound.init(context, cipher, null, key, iv, encrypt ? 1 : 0) !== 1) {
    free();
    return undefined;
  }
  bound.setPadding(context, 0);
  const update = (bytes: Uint8Array) => {
    if (context && bound.update(context, bytes, WRITTEN, bytes, bytes.length) === 1) return;
    throw new Error(`the cipher ${name} ${context ? 'has failed' : 'is closed'}`);
  };
  return { update, free };
}
