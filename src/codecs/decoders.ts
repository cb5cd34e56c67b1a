import { BlockError } from '../block/errors.ts';
import { bzip2Stepper } from './bzip2.ts';
import type { Coding, Decoder } from './coding.ts';
import { gzipIndexer } from './gzip-index.ts';
import { lzmaStepper } from './lzma.ts';
import { type Stepper, steppingDecoder } from './stepping.ts';
import { zlibDecoder } from './zlib.ts';
import { zstdStepper } from './zstd.ts';

const STEPPERS = {
  xz: { open: lzmaStepper, library: 'liblzma' },
  lzma: { open: lzmaStepper, library: 'liblzma' },
  bzip2: { open: bzip2Stepper, library: 'libbz2' },
  zstd: { open: zstdStepper, library: 'libzstd' },
} as const satisfies Record<string, { open(coding: Coding): Stepper | undefined; library: string }>;

/** What decodes so. @throws BlockError ENOTSUP where this system lacks the library for it. */
export function decoderOf(coding: Coding): Decoder {
  const { kind } = coding;
  if (kind === 'gzip' || kind === 'deflate') return zlibDecoder(coding);
  if (kind === 'gzip-index') return gzipIndexer(coding);
  const { open, library } = STEPPERS[kind];
  const stepper = open(coding);
  if (stepper) return steppingDecoder(stepper);
  throw new BlockError('ENOTSUP', `${kind} needs ${library}, which is not installed`);
}
