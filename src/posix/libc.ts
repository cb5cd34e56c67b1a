import { createRequire } from 'node:module';
import { getSystemErrorMap } from 'node:util';
import { BlockError, errnoOf } from '../block/errors.ts';

type Koffi = typeof import('koffi');
type Library = ReturnType<Koffi['load']>;
/** What C takes: numbers and addresses, or a buffer or text to point at. */
type Argument = number | bigint | Uint8Array | string | null;

/** A C function; `async` runs it on one of libuv's threads. */
export interface CFunction {
  (...values: Argument[]): number;
  async(...values: [...Argument[], (error: unknown, result: number) => void]): void;
}

let loaded: Koffi | null | undefined;

/** The FFI library, loaded when first needed (10 to 18 ms); undefined where it has no build. */
export function koffi(): Koffi | undefined {
  if (loaded === undefined) {
    try {
      loaded = createRequire(import.meta.url)('koffi') as Koffi;
    } catch {
      loaded = null;
    }
  }
  return loaded ?? undefined;
}

/**
 * A shared library of the system, such as libzstd.so.1: the first of these that is there; undefined
 * when none is. null is the program itself.
 */
export function sharedLibrary(...names: readonly (string | null)[]): Library | undefined {
  return firstOf(names, library => library);
}

function firstOf<T>(names: readonly (string | null)[], bind: (library: Library) => T) {
  for (const name of names) {
    try {
      // Node has some of these libraries in itself, whose functions must not be called by theirs.
      const library = koffi()?.load(name, { deep: name !== null });
      return library && bind(library);
    } catch {
      // The next one.
    }
  }
  return undefined;
}

/**
 * What is bound of a shared library, once for each thread: functions that FFI has made stay for
 * ever.
 * @param names of the library, as for `sharedLibrary`: the first that has all these functions.
 */
export function boundOnce<T>(
  names: readonly (string | null)[],
  bind: (library: Library) => T,
): () => T | undefined {
  let bound: { readonly functions: T | undefined } | undefined;
  return () => {
    bound ??= { functions: firstOf(names, bind) };
    return bound.functions;
  };
}

let libc: Library | undefined;

/**
 * A function of Linux's C library by its prototype, bound when first asked for; undefined on other
 * systems and where the library lacks it.
 */
export function libcFunction(prototype: string): () => CFunction | undefined {
  let bound: CFunction | null | undefined;
  return () => {
    if (bound === undefined) {
      try {
        libc ??= process.platform === 'linux' ? sharedLibrary(null) : undefined;
        bound = (libc?.func(prototype) as CFunction | undefined) ?? null;
      } catch {
        bound = null;
      }
    }
    return bound ?? undefined;
  };
}

const glibcVersion = libcFunction('const char *gnu_get_libc_version()');

/**
 * Whether a library of the system calls its own functions where Node has others of the same names in
 * itself: zlib, and since 22.15 libzstd. musl cannot do that.
 */
export function bindsDeep(): boolean {
  return process.platform !== 'linux' || glibcVersion() !== undefined;
}

/** The address of a buffer's bytes; they stay there as long as the buffer is referenced. */
export function addressOf(bytes: Uint8Array): bigint {
  return koffi()!.address(bytes);
}

/** A system call that failed, with the system's own name for the reason, such as EOPNOTSUPP. */
export class SystemError extends BlockError {
  override readonly code: string;

  constructor(call: string, number: number) {
    const [code, words] = getSystemErrorMap().get(-number) ?? [`errno ${number}`, 'unknown error'];
    super(errnoOf({ code }), `${call}: ${words}`);
    this.code = code;
  }
}

/** The failure of the C function called last. */
export function lastError(call: string): SystemError {
  return new SystemError(call, koffi()!.errno());
}

/** Calls on a thread of libuv's. @throws SystemError when the result is negative. */
export function callAsync(call: string, bound: CFunction, ...values: Argument[]): Promise<number> {
  return new Promise((resolve, reject) => {
    bound.async(...values, (error, result) => {
      if (error) reject(error);
      else if (result < 0) reject(lastError(call));
      else resolve(result);
    });
  });
}
