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
  free: library.func('size_t ZSTD_freeDCtx(void *context)'),
}));

/** libzstd through FFI; undefined where it is missing. */
export function zstdStepper(): Stepper | undefined {
  const library = bindsDeep() ? bound() : undefined;
  if (!library) return undefined;
  const { isError, nameOf, decompress, free } = library;
  const context = library.create();
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
    close: () => void free(context),
  };
}

function failure(name: string): BlockError {
  if (/memory/i.test(name)) return new BlockError('ENOMEM', `its window is too large (${name})`);
  return new BlockError('EIO', `it is damaged (${name})`);
}
