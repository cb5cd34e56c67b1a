import { UsageError } from '../../block/errors.ts';
import type { ParameterDeclarations, ParameterValues } from '../../declare/parameters.ts';
import { INNER_CIPHER_OPTIONS } from '../inner-luks.ts';
import { EXTENSION, type Extension, featureNameTable } from './extensions.ts';
import { AUTOCLEAR, type Header, INCOMPATIBLE, LAZY_REFCOUNTS, LUKS } from './header.ts';

/** What one can choose of a new image, by qemu's names. */
export const OPTIONS = {
  compat: {
    type: 'string',
    choices: ['0.10', '1.1', 'v2', 'v3'],
    default: '1.1',
    help: 'Compatibility level (v2 [0.10] or v3 [1.1])',
  },
  backing_file: { type: 'string', help: 'File name of a base image' },
  backing_fmt: { type: 'string', help: 'Image format of the base image' },
  data_file: { type: 'string', help: 'File name of an external data file' },
  data_file_raw: {
    type: 'boolean',
    default: 'off',
    help: 'The external data file must stay valid as a raw image',
  },
  cluster_size: { type: 'size', default: '65536', help: 'qcow2 cluster size' },
  extended_l2: { type: 'boolean', default: 'off', help: 'Extended L2 tables' },
  preallocation: {
    type: 'string',
    choices: ['off', 'metadata', 'falloc', 'full'],
    default: 'off',
    help: 'Preallocation mode (allowed values: off, metadata, falloc, full)',
  },
  lazy_refcounts: { type: 'boolean', default: 'off', help: 'Postpone refcount updates' },
  refcount_bits: {
    type: 'integer',
    default: '16',
    help: 'Width of a reference count entry in bits',
  },
  compression_type: {
    type: 'string',
    choices: ['zlib', 'zstd'],
    default: 'zlib',
    help: 'Compression method used for image cluster compression',
  },
  'encrypt.format': { type: 'string', help: "Encrypt the image, format choices: 'luks'" },
  'encrypt.key-secret': { type: 'string', help: 'ID of secret providing LUKS passphrase' },
  ...INNER_CIPHER_OPTIONS,
} as const satisfies ParameterDeclarations;

export type Options = ParameterValues<typeof OPTIONS>;

/** The header of a new image, but for where its tables are. @throws UsageError */
export function headerFor(size: bigint, options: Options): Header {
  const { cluster_size, refcount_bits, compression_type } = options;
  const version = options.compat === '0.10' || options.compat === 'v2' ? 2 : 3;
  const clusterBits = Math.log2(Number(cluster_size));
  if (!Number.isInteger(clusterBits) || clusterBits < 9 || clusterBits > 21) {
    throw new UsageError('Cluster size must be a power of two between 512 and 2048k');
  }
  const refcountOrder = Math.log2(refcount_bits);
  if (!Number.isInteger(refcountOrder) || refcountOrder < 0 || refcountOrder > 6) {
    throw new UsageError('Refcount width must be a power of two and may not exceed 64 bits');
  }
  checkTogether(version, options);
  return {
    version,
    clusterBits,
    size: ((size + 511n) / 512n) * 512n,
    crypt: isEncrypted(options) ? LUKS : 0,
    l1Entries: 0,
    l1Offset: 0,
    refcountOffset: 0,
    refcountClusters: 0,
    snapshots: 0,
    snapshotsOffset: 0,
    incompatible:
      (options.data_file === undefined ? 0n : INCOMPATIBLE.dataFile) |
      (compression_type === 'zstd' ? INCOMPATIBLE.compression : 0n) |
      (options.extended_l2 ? INCOMPATIBLE.extendedL2 : 0n),
    compatible: options.lazy_refcounts ? LAZY_REFCOUNTS : 0n,
    autoclear: options.data_file_raw ? AUTOCLEAR.rawDataFile : 0n,
    refcountOrder,
    compression: compression_type,
    tail: Buffer.alloc(0),
    extensions: extensionsFor(version, options),
    backing: options.backing_file,
  };
}

/** @throws UsageError it is to be encrypted in another way than by LUKS. */
export function isEncrypted({ 'encrypt.format': format }: Options): boolean {
  if (format === undefined || format === 'luks') return format === 'luks';
  const why = format === 'aes' ? 'it is unsafe, and new images are not made so' : 'it is not known';
  throw new UsageError(`encrypt.format: '${format}' cannot be used: ${why}, expected luks`);
}

function extensionsFor(version: 2 | 3, { backing_fmt, data_file }: Options): Extension[] {
  return [
    ...(backing_fmt === undefined
      ? []
      : [{ type: EXTENSION.backingFormat, data: Buffer.from(backing_fmt) }]),
    ...(data_file === undefined
      ? []
      : [{ type: EXTENSION.dataFile, data: Buffer.from(data_file) }]),
    ...(version === 3 ? [featureNameTable()] : []),
  ];
}

function checkTogether(version: 2 | 3, options: Options): void {
  const old = (feature: string) => {
    const needed = 'compatibility level 1.1 and above (use version=v3 or greater)';
    throw new UsageError(`${feature} only supported with ${needed}`);
  };
  if (version === 2) {
    if (options.lazy_refcounts) old('Lazy refcounts');
    if (options.refcount_bits !== 16) {
      throw new UsageError(
        'Different refcount widths than 16 bits require compatibility level 1.1 or above (use version=v3 or greater)',
      );
    }
    if (options.data_file !== undefined) old('External data files are');
    if (options.extended_l2) old('Extended L2 entries are');
    if (options.compression_type !== 'zlib') old('Non-zlib compression type is');
  }
  if (options.extended_l2 && options.cluster_size < 16384n) {
    const words =
      'Extended L2 entries are only supported with cluster sizes of at least 16384 bytes';
    throw new UsageError(words);
  }
  const { backing_file, preallocation, data_file, data_file_raw } = options;
  if (data_file_raw && data_file === undefined) {
    throw new UsageError('data-file-raw requires data-file');
  }
  if (data_file_raw && backing_file !== undefined) {
    throw new UsageError('Backing file and data-file-raw cannot be used at the same time');
  }
  if (backing_file !== undefined && preallocation !== 'off' && !options.extended_l2) {
    const words = 'Backing file and preallocation can only be used at the same time if extended_l2';
    throw new UsageError(`${words} is enabled`);
  }
}
