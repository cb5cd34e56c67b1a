import { BlockError } from '../block/errors.ts';
import { bzip2Stepper } from './bzip2.ts';
import type { Coding, Decoder } from './coding.ts';
import { gzipIndexer } from './gzip-index.ts';
import { lzmaStepper } from './lzma.ts';
import { lzmaPackage } from './lzma-package.ts';
import { type Stepper, steppingDecoder } from './stepping.ts';
import { nodeZstd, zlibDecoder } from './zlib.ts';
import { zstdStepper } from './zstd.ts';

interface Library {
  /** That of the system; undefined where it is missing. */
  system(coding: Coding): Stepper | undefined;
  /** What there is without it. */
  other?(coding: Coding): Decoder | undefined;
  /** Where to get it. */
  readonly name: string;
}

const LZMA: Library = {
  system: lzmaStepper,
  other: lzmaPackage,
  name: 'liblzma, or the package lzma-native',
};
const LIBRARIES: Readonly<Record<'xz' | 'lzma' | 'bzip2' | 'zstd', Library>> = {
  xz: LZMA,
  lzma: LZMA,
  bzip2: { system: bzip2Stepper, name: 'libbz2' },
  zstd: { system: zstdStepper, other: nodeZstd, name: 'libzstd, or Node 22.15' },
};

/** What decodes so. @throws BlockError ENOTSUP where this system lacks the library for it. */
export function decoderOf(coding: Coding): Decoder {
  const { kind } = coding;
  if (kind === 'gzip' || kind === 'deflate') return zlibDecoder(coding);
  if (kind === 'gzip-index') return gzipIndexer(coding);
  const { system, other, name } = LIBRARIES[kind];
  const stepper = system(coding);
  const decoder = stepper ? steppingDecoder(stepper, coding.part) : other?.(coding);
  if (decoder) return decoder;
  throw new BlockError('ENOTSUP', `${kind} needs ${name}, which is not installed`);
}
