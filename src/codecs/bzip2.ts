import { BlockError } from '../block/errors.ts';
import { addressOf, boundOnce } from '../posix/libc.ts';
import type { Stepper } from './stepping.ts';

const LIBRARIES = ['libbz2.so.1.0', 'libbz2.so.1', 'libbz2.dylib'];
/** bz_stream: 10 words of 8 bytes. */
const BYTES = 80;
const [NEXT_IN, AVAIL_IN, NEXT_OUT, AVAIL_OUT] = [0, 8, 24, 32] as const;
const [OK, STREAM_END, MEM_ERROR] = [0, 4, -3] as const;
/** The library counts in 32 bits. */
const MOST = 1 << 30;

const bound = boundOnce(LIBRARIES, library => ({
  begin: library.func('int BZ2_bzDecompressInit(void *stream, int verbosity, int small)'),
  decompress: library.func('int BZ2_bzDecompress(void *stream)'),
  end: library.func('int BZ2_bzDecompressEnd(void *stream)'),
}));

/** libbz2 through FFI; undefined where it is missing. */
export function bzip2Stepper(): Stepper | undefined {
  const library = bound();
  if (!library) return undefined;
  const { begin, decompress, end } = library;
  const stream = Buffer.alloc(BYTES);
  const open = () => {
    if (begin(stream, 0, 0) !== OK) throw new BlockError('ENOMEM', 'no memory for bzip2');
  };
  open();
  return {
    step(input, room) {
      const given = Math.min(input.length, MOST);
      stream.writeBigUInt64LE(given > 0 ? addressOf(input) : 0n, NEXT_IN);
      stream.writeUInt32LE(given, AVAIL_IN);
      stream.writeBigUInt64LE(addressOf(room), NEXT_OUT);
      stream.writeUInt32LE(room.length, AVAIL_OUT);
      const result: number = decompress(stream);
      if (result === MEM_ERROR) throw new BlockError('ENOMEM', 'no memory for bzip2');
      if (result !== OK && result !== STREAM_END) throw new BlockError('EIO', 'it is damaged');
      return {
        read: given - stream.readUInt32LE(AVAIL_IN),
        written: room.length - stream.readUInt32LE(AVAIL_OUT),
        ended: result === STREAM_END,
      };
    },
    again() {
      end(stream);
      stream.fill(0);
      open();
    },
    close: () => void end(stream),
  };
}
