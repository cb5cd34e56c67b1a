import { BlockError } from '../block/errors.ts';
import { addressOf, bindsDeep, boundOnce } from '../posix/libc.ts';
import { ZSTD_LIBRARIES } from '../posix/zstd.ts';
import type { Stepper } from './stepping.ts';

const bound = boundOnce(ZSTD_LIBRARIES, library => ({
  create: library.func('void *ZSTD_createDCtx()'),
  isError: library.func('uint ZSTD_isError(size_t result)'),
  nameOf: library.func('const char *ZSTD_getErrorName(size_t result)'),
  decompress: library.func(
    'size_t ZSTD_decompressStream(void *context, void *output, void *input)',
  ),
  reset: library.func('size_t ZSTD_DCtx_reset(void *context, int what)'),
  sizeOf: library.func('size_t ZSTD_sizeof_DCtx(void *context)'),
  free: library.func('size_t ZSTD_freeDCtx(void *context)'),
}));

/** What belongs to one stream, not the parameters. */
const SESSION = 1;
/** Contexts that are kept for the next stream, unless they are large: one costs 30 µs to make. */
const KEPT = 4;
const LARGEST_KEPT = 1 << 20;
const spare: unknown[] = [];

/** libzstd through FFI; undefined where it is missing. */
export function zstdStepper(): Stepper | undefined {
  const library = bindsDeep() ? bound() : undefined;
  if (!library) return undefined;
  const { isError, nameOf, decompress, reset, sizeOf, free } = library;
  const context = spare.pop() ?? library.create();
  if (!context) throw new BlockError('ENOMEM', 'no memory for zstd');
  // ZSTD_inBuffer and ZSTD_outBuffer: address, size, position.
  const source = new BigUint64Array(3);
  const target = new BigUint64Array(3);
  const [sourceBytes, targetBytes] = [source, target].map(words => Buffer.from(words.buffer));
  return {
    step(input, room) {
      source.set([input.length > 0 ? addressOf(input) : 0n, BigInt(input.length), 0n]);
      target.set([addressOf(room), BigInt(room.length), 0n]);
      const result = decompress(context, targetBytes, sourceBytes);
      if (isError(result)) throw failure(nameOf(result));
      return { read: Number(source[2]), written: Number(target[2]), ended: Number(result) === 0 };
    },
    again: () => {},
    close: () => {
      if (spare.length === KEPT || Number(sizeOf(context)) > LARGEST_KEPT) free(context);
      else {
        reset(context, SESSION);
        spare.push(context);
      }
    },
  };
}

function failure(name: string): BlockError {
  if (/memory/i.test(name)) return new BlockError('ENOMEM', `its window is too large (${name})`);
  return new BlockError('EIO', `it is damaged (${name})`);
}
