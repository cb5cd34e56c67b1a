import { BlockError } from '../block/errors.ts';
import { addressOf, bindsDeep, boundOnce } from '../posix/libc.ts';

/** Node's own first, which is quicker than that of most systems. */
const LIBRARIES = [null, 'libz.so.1', 'libz.1.dylib', '/usr/lib/libz.1.dylib'];
/** Only its first number matters. */
const VERSION = '1.2.11';
/** z_stream: 112 bytes. */
const BYTES = 112;
const [NEXT_IN, AVAIL_IN, NEXT_OUT, AVAIL_OUT, DATA_TYPE] = [0, 8, 24, 32, 88] as const;
const [OK, STREAM_END, MEM_ERROR, BUF_ERROR] = [0, 1, -4, -5] as const;
/** Where to stop: at the end of the input or of the room, or also between blocks. */
export const [MORE, BLOCK] = [0, 5] as const;

const bound = boundOnce(LIBRARIES, library => ({
  begin: library.func('int inflateInit2_(void *stream, int bits, const char *version, int size)'),
  inflate: library.func('int inflate(void *stream, int flush)'),
  reset: library.func('int inflateReset(void *stream)'),
  window: library.func('int inflateGetDictionary(void *stream, void *window, uint32_t *length)'),
  end: library.func('int inflateEnd(void *stream)'),
}));

/**
 * zlib through FFI: it decodes to where one wants it, and stops between blocks, which Node's interface
 * does not.
 */
export class Inflater {
  readonly #library;
  readonly #stream = Buffer.alloc(BYTES);

  /**
   * @param bits of the window: 31 for gzip, -15 for raw deflate. @returns undefined: there is no
   * libz.
   */
  static begin(bits: number): Inflater | undefined {
    const library = bindsDeep() ? bound() : undefined;
    return library && new Inflater(library, bits);
  }

  private constructor(library: NonNullable<ReturnType<typeof bound>>, bits: number) {
    this.#library = library;
    const begun: number = library.begin(this.#stream, bits, VERSION, BYTES);
    if (begun !== OK) throw failure(begun);
  }

  /** @throws BlockError EIO the input is damaged. */
  inflate(input: Uint8Array, room: Uint8Array, flush: number) {
    const stream = this.#stream;
    stream.writeBigUInt64LE(input.length > 0 ? addressOf(input) : 0n, NEXT_IN);
    stream.writeUInt32LE(input.length, AVAIL_IN);
    stream.writeBigUInt64LE(addressOf(room), NEXT_OUT);
    stream.writeUInt32LE(room.length, AVAIL_OUT);
    const result: number = this.#library.inflate(stream, flush);
    if (result !== OK && result !== STREAM_END && result !== BUF_ERROR) throw failure(result);
    return {
      read: input.length - stream.readUInt32LE(AVAIL_IN),
      written: room.length - stream.readUInt32LE(AVAIL_OUT),
      ended: result === STREAM_END,
      type: stream.readInt32LE(DATA_TYPE),
    };
  }

  /** Puts what came out last into a buffer. @returns how many bytes. */
  window(into: Buffer): number {
    const length = Buffer.alloc(4);
    this.#library.window(this.#stream, into, length);
    return length.readUInt32LE(0);
  }

  reset(): void {
    this.#library.reset(this.#stream);
  }

  close(): void {
    this.#library.end(this.#stream);
  }
}

function failure(result: number): BlockError {
  if (result === MEM_ERROR) return new BlockError('ENOMEM', 'no memory for zlib');
  return new BlockError('EIO', 'it is damaged');
}
