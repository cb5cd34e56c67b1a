import { BlockError } from '../block/errors.ts';
import { sharedLibrary } from './libc.ts';

/** Zstandard for short runs of bytes, at once. */
export interface Zstd {
  /** @throws BlockError ENOMEM */
  compress(bytes: Uint8Array): Uint8Array;
  /** @throws Error when the bytes do not decompress to exactly `length`. */
  decompress(bytes: Uint8Array, length: number): Buffer;
}

export const ZSTD_LIBRARIES = [
  'libzstd.so.1',
  'libzstd.1.dylib',
  '/opt/homebrew/lib/libzstd.1.dylib',
];
/** The library's default is 3; 1 is twice as quick and packs nearly as well. */
const LEVEL = 1;

/** Node's own Zstandard where it has one (22.15), else the system's; undefined: there is none. */
export function loadZstd(): Zstd | undefined {
  return fromNode(process.getBuiltinModule('node:zlib') as unknown as NodeZstd) ?? fromLibrary();
}

interface NodeZstd {
  zstdCompressSync?(bytes: Uint8Array, options?: object): Buffer;
  zstdDecompressSync?(bytes: Uint8Array, options?: object): Buffer;
  constants: { ZSTD_c_compressionLevel?: number };
}

function fromNode(node: NodeZstd): Zstd | undefined {
  const { zstdCompressSync: compress, zstdDecompressSync: decompress } = node;
  if (!compress || !decompress) return undefined;
  const params = { [node.constants.ZSTD_c_compressionLevel!]: LEVEL };
  return {
    compress: bytes => compress(bytes, { params }),
    decompress: (bytes, length) => exactly(decompress(bytes, { maxOutputLength: length }), length),
  };
}

function fromLibrary(): Zstd | undefined {
  const library = sharedLibrary(...ZSTD_LIBRARIES);
  if (!library) return undefined;
  const bound = library.func('size_t ZSTD_compressBound(size_t length)');
  const isError = library.func('uint ZSTD_isError(size_t result)');
  const pack = library.func(
    'size_t ZSTD_compress(void *to, size_t room, void *from, size_t length, int level)',
  );
  const unpack = library.func(
    'size_t ZSTD_decompress(void *to, size_t room, void *from, size_t length)',
  );
  return {
    compress: bytes => {
      const room = Buffer.allocUnsafeSlow(Number(bound(bytes.length)));
      const length = pack(room, room.length, bytes, bytes.length, LEVEL);
      if (isError(length)) throw new BlockError('ENOMEM', 'zstd: no memory to compress with');
      return Uint8Array.prototype.slice.call(room, 0, Number(length));
    },
    decompress: (bytes, length) => {
      const room = Buffer.allocUnsafeSlow(length);
      const result = unpack(room, length, bytes, bytes.length);
      if (isError(result)) throw new Error('zstd: damaged data');
      return exactly(room.subarray(0, Number(result)), length);
    },
  };
}

function exactly(bytes: Buffer, length: number): Buffer {
  if (bytes.length === length) return bytes;
  throw new Error(`zstd: ${bytes.length} bytes where ${length} were expected`);
}
