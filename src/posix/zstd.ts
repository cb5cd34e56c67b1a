import { promisify } from 'node:util';
import { BlockError } from '../block/errors.ts';
import { boundOnce, callAsync } from './libc.ts';

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
  zstdCompress?(
    bytes: Uint8Array,
    options: object,
    done: (error: Error | null, packed: Buffer) => void,
  ): void;
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

const native = boundOnce(ZSTD_LIBRARIES, library => ({
  bound: library.func('size_t ZSTD_compressBound(size_t length)'),
  isError: library.func('uint ZSTD_isError(size_t result)'),
  pack: library.func(
    'size_t ZSTD_compress(void *to, size_t room, void *from, size_t length, int level)',
  ),
  unpack: library.func('size_t ZSTD_decompress(void *to, size_t room, void *from, size_t length)'),
}));

const noMemory = () => new BlockError('ENOMEM', 'zstd: no memory to compress with');

function fromLibrary(): Zstd | undefined {
  const library = native();
  if (!library) return undefined;
  const { bound, isError, pack, unpack } = library;
  return {
    compress: bytes => {
      const room = Buffer.allocUnsafeSlow(Number(bound(bytes.length)));
      const length = pack(room, room.length, bytes, bytes.length, LEVEL);
      if (isError(length)) throw noMemory();
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

/** Compresses in a thread of the pool; undefined: there is no Zstandard. */
export function packInThread(): Pack | undefined {
  return packNative() ?? packByNode(process.getBuiltinModule('node:zlib') as unknown as NodeZstd);
}

type Pack = (bytes: Uint8Array, level: number) => Promise<Uint8Array>;

function packByNode({ zstdCompress, constants }: NodeZstd): Pack | undefined {
  if (!zstdCompress) return undefined;
  const compress = promisify(zstdCompress);
  return (bytes, level) =>
    compress(bytes, { params: { [constants.ZSTD_c_compressionLevel!]: level } });
}

function packNative(): Pack | undefined {
  const library = native();
  if (!library) return undefined;
  const { bound, isError, pack } = library;
  return async (bytes, level) => {
    const room = Buffer.allocUnsafeSlow(Number(bound(bytes.length)));
    const length = await callAsync('zstd', pack, room, room.length, bytes, bytes.length, level);
    if (isError(length)) throw noMemory();
    return room.subarray(0, Number(length));
  };
}

function exactly(bytes: Buffer, length: number): Buffer {
  if (bytes.length === length) return bytes;
  throw new Error(`zstd: ${bytes.length} bytes where ${length} were expected`);
}
