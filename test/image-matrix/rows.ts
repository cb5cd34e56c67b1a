/** Formats of images, and what one can choose of each. */
import type { Random } from '../../src/testing/model.ts';

/** An image that is to be made: `-f FORMAT -o WORDS`. */
export interface Row {
  readonly format: string;
  /** `option=value`, several by commas. */
  readonly words: string;
}

/** The id of the secret that opens what is encrypted. */
export const SECRET = 's';

const each = (option: string, ...values: readonly (string | number)[]) =>
  values.map(value => `${option}=${value}`);

const powers = (first: number, last: number) =>
  Array.from({ length: last - first + 1 }, (_, index) => 2 ** (first + index));

/** The backing files are made by qemu, of another size than the image, with the names of formats. */
export const BACKING_FORMATS: readonly string[] = ['raw', 'qcow2', 'vmdk', 'vpc', 'vdi', 'vhdx'];

const over = (...formats: readonly string[]) =>
  formats.map(format => `backing_file=base.${format},backing_fmt=${format}`);

/** No others: qemu-img dies of keys of 192 bits, and ESSIV of any other hash than SHA-256 has no cipher. */
const CIPHERS: readonly string[] = [
  ...['aes-128', 'aes-256'].flatMap(alg => [
    ...['xts', 'cbc'].flatMap(mode =>
      ['plain', 'plain64'].map(iv => `cipher-alg=${alg},cipher-mode=${mode},ivgen-alg=${iv}`),
    ),
    `cipher-alg=${alg},cipher-mode=cbc,ivgen-alg=essiv,ivgen-hash-alg=sha256`,
    `cipher-alg=${alg},cipher-mode=ecb`,
  ]),
  ...each('hash-alg', 'sha1', 'sha224', 'sha256', 'sha384', 'sha512', 'ripemd160'),
];

const within = (cipher: string) =>
  ['format=luks', `key-secret=${SECRET}`, 'iter-time=10', ...cipher.split(',')]
    .filter(word => word !== '')
    .map(word => `encrypt.${word}`)
    .join(',');

/** By format the options, each with all that can be chosen. What goes together stands together. */
const OPTIONS: Readonly<Record<string, readonly (readonly string[])[]>> = {
  qcow2: [
    each('cluster_size', ...powers(9, 21)),
    each('refcount_bits', ...powers(0, 6)),
    each('compat', '0.10', '1.1', 'v2', 'v3'),
    each('extended_l2', 'on', 'off'),
    each('lazy_refcounts', 'on', 'off'),
    each('compression_type', 'zlib', 'zstd'),
    each('preallocation', 'off', 'metadata', 'falloc', 'full'),
    ['data_file=data', 'data_file=data,data_file_raw=on'],
    over(...BACKING_FORMATS),
    ['', ...CIPHERS].map(within),
  ],
  vmdk: [
    each(
      'subformat',
      'monolithicSparse',
      'monolithicFlat',
      'twoGbMaxExtentSparse',
      'twoGbMaxExtentFlat',
      'streamOptimized',
    ),
    each('adapter_type', 'ide', 'lsilogic', 'buslogic', 'legacyESX'),
    each('hwversion', 4, 6, 10, 19),
    each('toolsversion', 1, 2147483647),
    each('compat6', 'on', 'off'),
    each('zeroed_grain', 'on', 'off'),
    over('vmdk'),
  ],
  vpc: [each('subformat', 'dynamic', 'fixed'), each('force_size', 'on', 'off')],
  vhdx: [
    each('subformat', 'dynamic', 'fixed'),
    each('block_size', 0, ...powers(20, 28)),
    each('log_size', '1M', '3M', '16M'),
    each('block_state_zero', 'on', 'off'),
  ],
  vdi: [each('static', 'on', 'off')],
  luks: [
    ['', ...CIPHERS].map(cipher => `key-secret=${SECRET},iter-time=10,${cipher}`.replace(/,$/, '')),
  ],
  raw: [each('preallocation', 'off', 'falloc', 'full')],
};

/** By format each choice by itself, and all sizes of clusters with all widths of counters. */
export const EACH: Readonly<Record<string, readonly string[]>> = Object.fromEntries(
  Object.entries(OPTIONS).map(([format, options]) => {
    const crossed = format === 'qcow2' || format === 'vhdx' ? product(options.slice(0, 2)) : [];
    return [format, [...(format === 'luks' ? [] : ['']), ...options.flat(), ...crossed]];
  }),
);

function product(options: readonly (readonly string[])[]): string[] {
  const [first = [], second = []] = options;
  return first.flatMap(one => second.map(other => `${one},${other}`));
}

/** Some choices of one format together, which may be refused. */
export function randomRow(random: Random): Row {
  const formats = ['qcow2', 'qcow2', 'qcow2', 'vmdk', 'vpc', 'vhdx'];
  const format = formats[random.below(formats.length)]!;
  const chosen = OPTIONS[format]!.filter(() => random.below(3) === 0);
  const words = chosen.map(choices => choices[random.below(choices.length)]!);
  return { format, words: words.join(',') };
}
