import { UsageError } from '../../block/errors.ts';
import { ADAPTERS, DISK_TYPES, HARDWARE, SECTOR } from './constants.ts';
import type { Parameters } from './parameters.ts';

const MOST_HARDWARE = 0xffff;

/** A local disk to make before the first client has it. */
export interface Creation {
  /** VixDiskLibCreateParams. */
  readonly parameters: Buffer;
  done: boolean;
}

/** @throws UsageError */
export function creationOf(parameters: Parameters, remote: boolean): Creation | undefined {
  const { create, 'create-size': size } = parameters;
  if (!create) return undefined;
  if (remote) throw new UsageError('create: only local disks can be made');
  if (size === undefined) throw new UsageError('create: needs create-size');
  if (size % BigInt(SECTOR) !== 0n) {
    throw new UsageError(`create-size: expected a multiple of ${SECTOR}`);
  }
  const made = Buffer.alloc(32);
  made.writeUInt32LE(DISK_TYPES[parameters['create-type']], 0);
  made.writeUInt32LE(ADAPTERS[parameters['create-adapter-type']], 4);
  made.writeUInt16LE(hardwareOf(parameters['create-hwversion']), 8);
  made.writeBigUInt64LE(size / BigInt(SECTOR), 16);
  return { parameters: made, done: false };
}

function hardwareOf(text: string): number {
  const number = /^\d+$/.test(text) ? Number(text) : HARDWARE[text as keyof typeof HARDWARE];
  if (number !== undefined && number <= MOST_HARDWARE) return number;
  const words = Object.keys(HARDWARE).join(', ');
  throw new UsageError(
    `create-hwversion: cannot parse '${text}': expected ${words} or a number up to ${MOST_HARDWARE}`,
  );
}
