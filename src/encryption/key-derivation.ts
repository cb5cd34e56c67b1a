import { pbkdf2, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';
import { BlockError } from '../block/errors.ts';

/** How a key is made of a passphrase. */
export type Derivation = Pbkdf2 | Argon2;

export interface Pbkdf2 {
  readonly kind: 'pbkdf2';
  /** As node:crypto names it. */
  readonly hash: string;
  readonly iterations: number;
  readonly salt: Uint8Array;
}

export interface Argon2 {
  readonly kind: 'argon2i' | 'argon2id';
  /** Passes over the memory. */
  readonly time: number;
  /** In KiB. */
  readonly memory: number;
  readonly lanes: number;
  readonly salt: Uint8Array;
}

export interface DerivationLimits {
  /** Most memory for Argon2, in bytes; `ARGON2_MEMORY` unless told. */
  readonly memory?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Most memory for Argon2 unless told, in bytes: what cryptsetup takes by default. */
export const ARGON2_MEMORY = 2 ** 30;
/** About a minute of work; more is no header that somebody made to be opened. */
const MOST_ITERATIONS = 100_000_000;
/** KiB times passes. */
const MOST_ARGON2_WORK = 2 ** 25;
const MOST_LANES = 16;

/**
 * A key of so many bytes, which the caller wipes.
 * @throws BlockError EINVAL for more work than anyone would wait for, ENOMEM for more memory than
 * is allowed.
 */
export async function deriveKey(
  passphrase: Uint8Array,
  derivation: Derivation,
  length: number,
  { memory = ARGON2_MEMORY, signal }: DerivationLimits = {},
): Promise<Buffer> {
  if (derivation.kind === 'pbkdf2') {
    const { salt, iterations, hash } = derivation;
    if (iterations < 1 || iterations > MOST_ITERATIONS) {
      throw tooMuch(`${iterations} iterations of PBKDF2`, `1 to ${MOST_ITERATIONS}`);
    }
    return await promisify(pbkdf2)(passphrase, salt, iterations, length, hash);
  }
  const { kind, time, memory: kibibytes, lanes, salt } = derivation;
  if (time < 1 || time * kibibytes > MOST_ARGON2_WORK) {
    throw tooMuch(`${time} passes over ${kibibytes} KiB`, `at most ${MOST_ARGON2_WORK} KiB in all`);
  }
  if (lanes < 1 || lanes > MOST_LANES || kibibytes < 8 * lanes) {
    throw tooMuch(`${lanes} lanes over ${kibibytes} KiB`, `1 to ${MOST_LANES}, of 8 KiB or more`);
  }
  if (kibibytes * 1024 > memory) {
    const what = `${kind} takes ${kibibytes * 1024} bytes of memory to open this`;
    throw new BlockError('ENOMEM', `${what}, more than the limit of ${memory}`);
  }
  const { hashRaw } = await import('@node-rs/argon2');
  const options = {
    algorithm: kind === 'argon2i' ? 1 : 2,
    timeCost: time,
    memoryCost: kibibytes,
    parallelism: lanes,
    outputLen: length,
    salt,
  };
  return await hashRaw(passphrase, options, signal);
}

function tooMuch(what: string, right: string): BlockError {
  return new BlockError('EINVAL', `${what} to derive a key: expected ${right}`);
}

/** Iterations of PBKDF2 that take about so many milliseconds here, measured by the clock. */
export async function iterationsFor(
  hash: string,
  length: number,
  milliseconds: number,
): Promise<number> {
  const sample = Math.min(50, Math.max(milliseconds, 1));
  const salt = Buffer.alloc(32);
  const time = async (iterations: number) => {
    const start = performance.now();
    await deriveKey(salt, { kind: 'pbkdf2', hash, iterations, salt }, length);
    return performance.now() - start;
  };
  // The first time a thread has to be started.
  await time(1);
  for (let iterations = 1000; ; iterations *= 2) {
    const took = await time(iterations);
    if (took < sample && iterations < MOST_ITERATIONS / 2) continue;
    return Math.min(MOST_ITERATIONS, Math.ceil((iterations * milliseconds) / took));
  }
}

/** Whether a key is the one of which a digest was kept. */
export async function isKeyOf(
  key: Uint8Array,
  derivation: Pbkdf2,
  digest: Uint8Array,
): Promise<boolean> {
  return timingSafeEqual(await deriveKey(key, derivation, digest.length), digest);
}
