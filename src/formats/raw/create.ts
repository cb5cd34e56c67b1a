import type { BlockDevice } from '../../block/device.ts';
import { zeroRange } from '../../block/emulate.ts';
import { BlockError } from '../../block/errors.ts';
import type { ParameterDeclarations, ParameterValues } from '../../declare/parameters.ts';

export const OPTIONS = {
  preallocation: {
    type: 'string',
    choices: ['off', 'falloc', 'full'],
    default: 'off',
    help: 'Preallocation mode (allowed values: off, falloc, full)',
  },
} as const satisfies ParameterDeclarations;

/** Gives a file the size of a disk, which reads as zeroes. @throws BlockError ENOSPC */
export async function createRaw(
  file: BlockDevice,
  size: bigint,
  { preallocation }: ParameterValues<typeof OPTIONS>,
): Promise<void> {
  const wanted = ((size + 511n) / 512n) * 512n;
  if (file.resize) await file.resize(wanted);
  else if (file.size < wanted) {
    const why = `${wanted} bytes are needed, and there are ${file.size}`;
    throw new BlockError('ENOSPC', `Cannot grow device files: ${why}`);
  }
  if (preallocation === 'off') return;
  for (let at = 0n; at < wanted; ) {
    const length = Math.min(Number(wanted - at), 2 ** 30);
    await zeroRange(file, at, length, { mayTrim: false });
    at += BigInt(length);
  }
}
