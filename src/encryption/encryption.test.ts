import assert from 'node:assert/strict';
import { createCipheriv, createHash, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { mergeKey, splitKey } from './anti-forensic.ts';
import { parseCipher } from './cipher-spec.ts';
import { type Derivation, deriveKey, iterationsFor } from './key-derivation.ts';
import { sectorCipher } from './sector-cipher.ts';

/** What node:crypto makes of each sector by itself. */
function byNode(name: string, key: Uint8Array, vectors: readonly Buffer[], bytes: Buffer): Buffer {
  const sector = bytes.length / vectors.length;
  return Buffer.concat(
    vectors.map((vector, index) =>
      createCipheriv(name, key, vector)
        .setAutoPadding(false)
        .update(bytes.subarray(index * sector, (index + 1) * sector)),
    ),
  );
}

function plain64(first: bigint, count: number, step = 1): Buffer[] {
  return Array.from({ length: count }, (_, index) => {
    const vector = Buffer.alloc(16);
    vector.writeBigUInt64LE(first + BigInt(index * step));
    return vector;
  });
}

function essiv(vectors: readonly Buffer[], key: Uint8Array): Buffer[] {
  const salt = createHash('sha256').update(key).digest();
  return vectors.map(vector =>
    createCipheriv('aes-256-ecb', salt, null).setAutoPadding(false).update(vector),
  );
}

const FIRST = 2n ** 32n - 100n;

for (const [spec, keyBytes, sector, name] of [
  ['aes-xts-plain64', 64, 512, 'aes-256-xts'],
  ['aes-xts-plain64', 32, 4096, 'aes-128-xts'],
  ['aes-cbc-plain64', 24, 512, 'aes-192-cbc'],
  ['aes-cbc-essiv:sha256', 32, 1024, 'aes-256-cbc'],
  ['camellia-cbc-plain64', 16, 512, 'camellia-128-cbc'],
] as const) {
  test(`${spec} with sectors of ${sector} is what node:crypto makes sector by sector`, () => {
    const key = randomBytes(keyBytes);
    const clear = randomBytes(sector * 300);
    const step = sector / 512;
    const vectors = plain64(FIRST, 300, step);
    const used = spec.includes('essiv') ? essiv(vectors, key) : vectors;
    const expected = byNode(name, key, used, clear);
    const cipher = sectorCipher(parseCipher(spec), key, { sector, step });
    const bytes = Buffer.from(clear);
    cipher.encrypt(bytes, FIRST);
    assert.ok(bytes.equals(expected));
    cipher.decrypt(bytes, FIRST);
    assert.ok(bytes.equals(clear));
    // A chain does not go on from where another call has left it.
    const later = Buffer.from(clear.subarray(sector * 200));
    cipher.encrypt(later, FIRST + BigInt(200 * step));
    assert.ok(later.equals(expected.subarray(sector * 200)));
    cipher.close();
    assert.throws(() => cipher.encrypt(bytes, 0n), /closed/);
  });
}

test('plain counts sectors with 32 bits, ECB does not count them', () => {
  const key = randomBytes(32);
  const encrypted = (spec: string, first: bigint) => {
    const bytes = Buffer.alloc(512);
    const cipher = sectorCipher(parseCipher(spec), key);
    cipher.encrypt(bytes, first);
    cipher.close();
    return bytes.toString('hex');
  };
  assert.equal(encrypted('aes-xts-plain', 2n ** 32n), encrypted('aes-xts-plain', 0n));
  assert.notEqual(encrypted('aes-xts-plain64', 2n ** 32n), encrypted('aes-xts-plain64', 0n));
  assert.equal(encrypted('aes-ecb', 7n), encrypted('aes-ecb', 0n));
});

test('ciphers and modes that are not there are refused by name', () => {
  for (const [spec, message] of [
    ['serpent-xts-plain64', /'serpent-xts-plain64' is not supported: expected one of aes/],
    ['twofish-cbc-essiv:sha256', /'twofish-cbc-essiv:sha256' is not supported/],
    ['aes-xts-plain64be', /mode of the cipher 'aes-xts-plain64be'/],
    ['aes-xts', /mode of the cipher/],
    ['aes-lrw-benbi', /mode of the cipher/],
    ['aes-cbc-essiv', /mode of the cipher/],
    ['aes-cbc-essiv:whirlpool', /the hash 'whirlpool'/],
    ['aes\x1b[2J-xts-plain64', /'aes\\u001b\[2J-xts-plain64'/],
    ['', /not supported/],
  ] as const) {
    assert.throws(() => parseCipher(spec), { errno: 'ENOTSUP', message });
  }
  assert.throws(() => sectorCipher(parseCipher('aes-xts-plain64'), randomBytes(63)), /no keys of/);
  assert.throws(() => sectorCipher(parseCipher('sm4-ecb'), randomBytes(32)), /no keys of 256 bits/);
});

test('a key that was split comes back from all of its stripes', () => {
  for (const hash of ['sha1', 'sha256', 'sha512', 'ripemd160']) {
    const key = randomBytes(64);
    const split = splitKey(key, 50, hash);
    assert.equal(split.length, 64 * 50);
    assert.ok(mergeKey(split, 64, 50, hash).equals(key));
    split[7]! ^= 1;
    assert.ok(!mergeKey(split, 64, 50, hash).equals(key));
  }
});

test('more work and memory than anyone would want is refused before it begins', async () => {
  const salt = Buffer.alloc(16);
  const derive = (derivation: object, limits = {}) =>
    deriveKey(salt, { salt, ...derivation } as unknown as Derivation, 32, limits);
  const argon2 = { kind: 'argon2id', time: 1, memory: 1024, lanes: 1 };
  for (const [derivation, errno] of [
    [{ kind: 'pbkdf2', hash: 'sha256', iterations: 2 ** 32 - 1 }, 'EINVAL'],
    [{ kind: 'pbkdf2', hash: 'sha256', iterations: 0 }, 'EINVAL'],
    [{ ...argon2, time: 2 ** 32 - 1 }, 'EINVAL'],
    [{ ...argon2, lanes: 2 ** 24 }, 'EINVAL'],
    [{ ...argon2, lanes: 4, memory: 31 }, 'EINVAL'],
    [{ ...argon2, memory: 2 ** 20 + 1 }, 'ENOMEM'],
  ] as const) {
    await assert.rejects(derive(derivation), { errno });
  }
  await assert.rejects(derive(argon2, { memory: 2 ** 20 - 1 }), { errno: 'ENOMEM' });
  assert.equal((await derive(argon2, { memory: 2 ** 20 })).length, 32);
});

test('PBKDF2 is measured by the clock', async t => {
  for (const [milliseconds, iterations] of [
    [1, 1000],
    [20, 20_000],
    [200, 200_000],
  ] as const) {
    // A clock of a machine that takes a millisecond for a thousand, after a first call of none.
    const readings = [0, 1, 2, 4, 8, 16, 32, 64].flatMap(took => [0, took]);
    const clock = t.mock.method(performance, 'now', () => readings.shift()!);
    assert.equal(await iterationsFor('sha256', 32, milliseconds), iterations);
    clock.mock.restore();
  }
});
