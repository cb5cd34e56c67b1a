import { createCipheriv, createDecipheriv, createHash } from 'node:crypto';
import { xorBytes } from '../block/xor-bytes.ts';
import { type InPlaceCipher, inPlaceCipher } from '../posix/openssl.ts';
import { blockCipher, type CipherSpec } from './cipher-spec.ts';
import { BLOCK, MOST, Whitener } from './whiten.ts';

/**
 * Encrypts and decrypts whole sectors where they are, many at once. `first` is the number of the
 * first of them, which its initialisation vector follows from.
 */
export interface SectorCipher {
  encrypt(bytes: Uint8Array, first: bigint): void;
  decrypt(bytes: Uint8Array, first: bigint): void;
  /** Wipes its keys. Whoever uses it afterwards gets an error. */
  close(): void;
}

export interface SectorOptions {
  /** Bytes of a sector, a multiple of 16 up to 64 KiB; 512 unless told. */
  readonly sector?: number;
  /** By how much the numbers of neighbouring sectors differ; 1 unless told. */
  readonly step?: number;
}

/**
 * A cipher for sectors. The key may be wiped afterwards.
 * @throws BlockError EINVAL when the cipher has no keys of this length.
 */
export function sectorCipher(
  spec: CipherSpec,
  key: Uint8Array,
  { sector = 512, step = 1 }: SectorOptions = {},
): SectorCipher {
  const engines: InPlaceCipher[] = [];
  const engine: MakeEngine = (...what) => {
    const made = blockEngine(spec.cipher, ...what);
    engines.push(made);
    return bytes => made.update(bytes);
  };
  const { encrypt, decrypt } = MODES[spec.mode](engine, key, sector);
  const vectorsOf = numbering(spec, engine, key, step);
  const most = MOST - (MOST % sector);
  const inParts = (work: Work) => (bytes: Uint8Array, first: bigint) => {
    for (let at = 0; at < bytes.length; at += most) {
      const part = bytes.subarray(at, at + most);
      work(part, vectorsOf(first + BigInt((at / sector) * step), part.length / sector));
    }
  };
  const close = () => {
    for (const made of engines) made.free();
  };
  return { encrypt: inParts(encrypt), decrypt: inParts(decrypt), close };
}

/** Changes sectors, which fit into the processor's cache, with a vector for each. */
type Work = (bytes: Uint8Array, vectors: Uint8Array) => void;

interface Mode {
  readonly encrypt: Work;
  readonly decrypt: Work;
}

/** Makes what changes whole blocks: each by itself, or in one chain from call to call. */
type MakeEngine = (
  key: Uint8Array,
  direction: 'encrypt' | 'decrypt',
  chained?: 'chained',
) => (bytes: Uint8Array) => void;

/** By OpenSSL where the bytes are, or by node:crypto. */
function blockEngine(cipher: string, ...[key, direction, chained]: Parameters<MakeEngine>) {
  const name = blockCipher(cipher, key.length, chained ? 'cbc' : 'ecb');
  const iv = chained ? Buffer.alloc(BLOCK) : null;
  const encrypt = direction === 'encrypt';
  const engine = inPlaceCipher(name, key, { iv, encrypt });
  if (engine) return engine;
  const make = encrypt ? createCipheriv : createDecipheriv;
  let portable: ReturnType<typeof createCipheriv> | undefined = make(name, key, iv);
  portable.setAutoPadding(false);
  return {
    update: (bytes: Uint8Array) => bytes.set(portable!.update(bytes)),
    free: () => {
      portable = undefined;
    },
  };
}

type MakeMode = (engine: MakeEngine, key: Uint8Array, sector: number) => Mode;

const MODES: Readonly<Record<CipherSpec['mode'], MakeMode>> = {
  xts: xtsMode,
  cbc: cbcMode,
  ecb: (engine, key) => ({ encrypt: engine(key, 'encrypt'), decrypt: engine(key, 'decrypt') }),
};

/** One for all ciphers of this thread, which use it in turn. */
let whitener: Whitener | undefined;

function xtsMode(engine: MakeEngine, key: Uint8Array, sector: number): Mode {
  const half = key.length / 2;
  const toTweaks = engine(key.subarray(half), 'encrypt');
  whitener ??= new Whitener();
  const white = whitener;
  const whitened =
    (crypt: (bytes: Uint8Array) => void): Work =>
    (bytes, vectors) => {
      toTweaks(vectors);
      const data = white.data.subarray(0, bytes.length);
      data.set(bytes);
      white.apply(vectors, sector);
      crypt(data);
      white.apply(vectors, sector);
      bytes.set(data);
    };
  return {
    encrypt: whitened(engine(key.subarray(0, half), 'encrypt')),
    decrypt: whitened(engine(key.subarray(0, half), 'decrypt')),
  };
}

function cbcMode(engine: MakeEngine, key: Uint8Array, sector: number): Mode {
  // One chain through all sectors; what it carries from one into the next is taken out again.
  const chain = engine(key, 'encrypt', 'chained');
  const carried = Buffer.alloc(BLOCK);
  const decrypt = engine(key, 'decrypt');
  return {
    encrypt: (bytes, vectors) => {
      for (let at = 0, vector = 0; at < bytes.length; at += sector, vector += BLOCK) {
        const own = bytes.subarray(at, at + sector);
        xorBytes(own.subarray(0, BLOCK), vectors.subarray(vector, vector + BLOCK));
        xorBytes(own.subarray(0, BLOCK), carried);
        chain(own);
        carried.set(own.subarray(-BLOCK));
      }
    },
    decrypt: (bytes, vectors) => {
      const before = Buffer.allocUnsafe(bytes.length);
      before.set(bytes.subarray(0, -BLOCK), BLOCK);
      for (let at = 0, vector = 0; at < bytes.length; at += sector, vector += BLOCK) {
        before.set(vectors.subarray(vector, vector + BLOCK), at);
      }
      decrypt(bytes);
      xorBytes(bytes, before);
    },
  };
}

/** The initialisation vectors of so many sectors in a row. */
function numbering({ iv, ivHash }: CipherSpec, engine: MakeEngine, key: Uint8Array, step: number) {
  const salted = ivHash && engine(createHash(ivHash).update(key).digest(), 'encrypt');
  return (first: bigint, count: number): Uint8Array => {
    const vectors = Buffer.alloc(count * BLOCK);
    if (iv === 'none') return vectors;
    let low = Number(first & 0xffffffffn);
    let high = Number((first >> 32n) & 0xffffffffn);
    for (let at = 0; at < vectors.length; at += BLOCK) {
      vectors.writeUInt32LE(low, at);
      if (iv !== 'plain') vectors.writeUInt32LE(high, at + 4);
      low += step;
      if (low < 2 ** 32) continue;
      low -= 2 ** 32;
      high = (high + 1) % 2 ** 32;
    }
    if (salted) salted(vectors);
    return vectors;
  };
}
