import { basename } from 'node:path';

/** The name under which it was called: as qemu-img it is one. */
export const PROGRAM = /^qemu-img(\.c?js)?$/.test(basename(process.argv[1] ?? ''))
  ? 'qemu-img'
  : 'nbdimg';

/** A line for people on standard error. */
export function warn(words: string): void {
  process.stderr.write(`${PROGRAM}: ${words}\n`);
}
