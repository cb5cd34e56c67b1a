import { BlockError } from '../block/errors.ts';
import { addressOf, boundOnce } from '../posix/libc.ts';
import type { Coding } from './coding.ts';
import type { Stepper } from './stepping.ts';

const LIBRARIES = ['liblzma.so.5', 'liblzma.5.dylib', '/opt/homebrew/lib/liblzma.5.dylib'];
/** lzma_stream: 17 words of 8 bytes. */
const WORDS = 17;
const [NEXT_IN, AVAIL_IN, NEXT_OUT, AVAIL_OUT] = [0, 1, 3, 4] as const;
const [RUN, FINISH] = [0, 3] as const;
const [OK, STREAM_END, BUF_ERROR] = [0, 1, 10] as const;
/** A check that the library does not know must not pass for a good one. */
const TELL_UNSUPPORTED_CHECK = 2;
const NO_LIMIT = 2n ** 64n - 1n;

const FAILURES: Readonly<Record<number, readonly [errno: 'EIO' | 'ENOMEM' | 'ENOTSUP', string]>> = {
  3: ['ENOTSUP', 'its check is of an unknown kind'],
  5: ['ENOMEM', 'there is no memory to decode it'],
  6: ['ENOMEM', 'its dictionary is too large'],
  7: ['EIO', 'it is damaged: not in the format'],
  8: ['ENOTSUP', 'it needs a filter that is not supported'],
  9: ['EIO', 'it is damaged'],
};

const bound = boundOnce(LIBRARIES, library => ({
  code: library.func('int lzma_code(void *stream, int action)'),
  end: library.func('void lzma_end(void *stream)'),
  xz: library.func('int lzma_stream_decoder(void *stream, uint64_t limit, uint32_t flags)'),
  lzma: library.func('int lzma_alone_decoder(void *stream, uint64_t limit)'),
}));

/** liblzma through FFI; undefined where it is missing. */
export function lzmaStepper({ kind, memory }: Coding): Stepper | undefined {
  const library = bound();
  if (!library) return undefined;
  const words = new BigUint64Array(WORDS);
  const stream = Buffer.from(words.buffer);
  const limit = memory === undefined ? NO_LIMIT : BigInt(memory);
  const begun: number =
    kind === 'xz' ? library.xz(stream, limit, TELL_UNSUPPORTED_CHECK) : library.lzma(stream, limit);
  if (begun !== OK) throw failure(begun);
  return {
    step(input, room, last) {
      words[NEXT_IN] = input.length > 0 ? addressOf(input) : 0n;
      words[AVAIL_IN] = BigInt(input.length);
      words[NEXT_OUT] = addressOf(room);
      words[AVAIL_OUT] = BigInt(room.length);
      const result: number = library.code(stream, last ? FINISH : RUN);
      if (result !== OK && result !== STREAM_END && result !== BUF_ERROR) throw failure(result);
      return {
        read: input.length - Number(words[AVAIL_IN]),
        written: room.length - Number(words[AVAIL_OUT]),
        ended: result === STREAM_END,
      };
    },
    close: () => library.end(stream),
  };
}

function failure(result: number): BlockError {
  const [errno, words] = FAILURES[result] ?? ['EIO', `liblzma fails with ${result}`];
  return new BlockError(errno, words);
}
