import type { FileType } from './file-system.ts';

const TYPES: Readonly<Record<number, FileType>> = {
  1: 'fifo',
  2: 'character',
  4: 'directory',
  6: 'block',
  8: 'file',
  10: 'symlink',
  12: 'socket',
};

/** The type in the upper bits of a mode. */
export function typeOfMode(mode: number): FileType {
  return TYPES[(mode >>> 12) & 0o17] ?? 'unknown';
}

/** A mode as Unix has it, with the bits of the type. */
export function modeOf(type: FileType, permissions: number): number {
  const bits = Object.entries(TYPES).find(([, name]) => name === type)?.[0] ?? 0;
  return (Number(bits) << 12) | permissions;
}
