/** How the kernel's ublk driver is spoken to (include/uapi/linux/ublk_cmd.h): pure functions. */

const WRITE_READ = 3;
const READ = 2;
const TYPE = 'u'.charCodeAt(0);
const CONTROL_SIZE = 32;
const IO_SIZE = 16;

const code = (direction: number, size: number, number: number) =>
  ((direction << 30) | (size << 16) | (TYPE << 8) | number) >>> 0;

/** Commands to /dev/ublk-control. */
export const Control = {
  info: code(READ, CONTROL_SIZE, 0x12),
  add: code(WRITE_READ, CONTROL_SIZE, 0x04),
  remove: code(WRITE_READ, CONTROL_SIZE, 0x05),
  removeLater: code(READ, CONTROL_SIZE, 0x14),
  start: code(WRITE_READ, CONTROL_SIZE, 0x06),
  stop: code(WRITE_READ, CONTROL_SIZE, 0x07),
  setParameters: code(WRITE_READ, CONTROL_SIZE, 0x08),
  startRecovery: code(WRITE_READ, CONTROL_SIZE, 0x10),
  endRecovery: code(WRITE_READ, CONTROL_SIZE, 0x11),
} as const;

/** Commands to /dev/ublkcN. */
export const Io = {
  fetch: code(WRITE_READ, IO_SIZE, 0x20),
  commitAndFetch: code(WRITE_READ, IO_SIZE, 0x21),
} as const;

/** What the kernel asks a disk for. */
export const Operation = { read: 0, write: 1, flush: 2, discard: 3, writeZeroes: 5 } as const;
export const OperationFlag = { fua: 1 << 13, noUnmap: 1 << 15 } as const;

export const DeviceFlag = {
  userRecovery: 1n << 3n,
  userRecoveryReissue: 1n << 4n,
  /** Of a user who is not root. */
  unprivileged: 1n << 5n,
  ioctlEncoded: 1n << 6n,
} as const;

export const DEVICE_STATES = ['DEAD', 'LIVE', 'QUIESCED'] as const;
/** The kernel chooses the number of the device. */
export const ANY_DEVICE = 0xffffffff;
export const SECTOR = 512;
/** An io_uring entry for a command of a driver. */
const URING_COMMAND = 46;
const NO_QUEUE = 0xffff;

/** What is known of a device. */
export interface DeviceInfo {
  readonly id: number;
  readonly queues: number;
  readonly depth: number;
  /** Bytes of one request at most. */
  readonly longest: number;
  readonly state: number;
  /** The process that serves it. */
  readonly pid: number;
  readonly flags: bigint;
}

export const INFO_SIZE = 64;

export function encodeInfo({ id, queues, depth, longest, flags }: DeviceInfo): Buffer {
  const bytes = Buffer.alloc(INFO_SIZE);
  bytes.writeUInt16LE(queues, 0);
  bytes.writeUInt16LE(depth, 2);
  bytes.writeUInt32LE(longest, 8);
  bytes.writeUInt32LE(id, 12);
  bytes.writeInt32LE(-1, 16);
  bytes.writeBigUInt64LE(flags, 24);
  return bytes;
}

export function decodeInfo(bytes: Buffer): DeviceInfo {
  return {
    queues: bytes.readUInt16LE(0),
    depth: bytes.readUInt16LE(2),
    state: bytes.readUInt16LE(4),
    longest: bytes.readUInt32LE(8),
    id: bytes.readUInt32LE(12),
    pid: bytes.readInt32LE(16),
    flags: bytes.readBigUInt64LE(24),
  };
}

/** Of what form a disk is. */
export interface DiskForm {
  readonly sectors: bigint;
  readonly readOnly: boolean;
  readonly rotational: boolean;
  /** There is something to flush. */
  readonly cache: boolean;
  readonly fua: boolean;
  /** Powers of two, in bytes: the smallest request, what is quick, and the longest request. */
  readonly block: number;
  readonly preferred: number;
  readonly longest: number;
  readonly discard: boolean;
  readonly writeZeroes: boolean;
}

const BASIC = 1;
const DISCARD = 2;
const MOST_SECTORS = 0xffffffff >>> 9;

export function encodeParameters(form: DiskForm): Buffer {
  const bytes = Buffer.alloc(64);
  const attributes = [form.readOnly, form.rotational, form.cache, form.fua];
  const shift = Math.log2(form.block);
  const effects = form.discard || form.writeZeroes;
  bytes.writeUInt32LE(bytes.length, 0);
  bytes.writeUInt32LE(effects ? BASIC | DISCARD : BASIC, 4);
  bytes.writeUInt32LE(
    attributes.reduce((bits, is, index) => bits | (Number(is) << index), 0),
    8,
  );
  bytes.writeUInt8(shift, 12);
  bytes.writeUInt8(shift, 13);
  bytes.writeUInt8(Math.log2(form.preferred), 14);
  bytes.writeUInt8(shift, 15);
  bytes.writeUInt32LE(form.longest / SECTOR, 16);
  bytes.writeBigUInt64LE(form.sectors, 24);
  if (!effects) return bytes;
  bytes.writeUInt32LE(form.block, 44);
  bytes.writeUInt32LE(form.discard ? MOST_SECTORS : 0, 48);
  bytes.writeUInt32LE(form.writeZeroes ? MOST_SECTORS : 0, 52);
  bytes.writeUInt16LE(1, 56);
  return bytes;
}

/**
 * Fills in an entry of a ring.
 * @param address of `length` bytes that go with the command, of which the first `path` are the name of
 *   the device that the user may use.
 */
export function putControl(
  entry: Buffer,
  fd: number,
  command: number,
  { id, address = 0n, length = 0, data = 0n, path = 0 }: ControlFields,
): void {
  entry.writeUInt8(URING_COMMAND, 0);
  entry.writeInt32LE(fd, 4);
  entry.writeUInt32LE(command, 8);
  entry.writeUInt32LE(id, 48);
  entry.writeUInt16LE(NO_QUEUE, 52);
  entry.writeUInt16LE(length, 54);
  entry.writeBigUInt64LE(address, 56);
  entry.writeBigUInt64LE(data, 64);
  entry.writeUInt16LE(path, 72);
}

export interface ControlFields {
  readonly id: number;
  readonly address?: bigint;
  readonly length?: number;
  readonly data?: bigint;
  readonly path?: number;
}

/** Fills in an entry: the result of a request, and the memory for the next one of its tag. */
export function putIo(
  entry: Buffer,
  fd: number,
  command: number,
  { queue, tag, result, address }: IoFields,
): void {
  entry.writeUInt8(URING_COMMAND, 0);
  entry.writeInt32LE(fd, 4);
  entry.writeUInt32LE(command, 8);
  entry.writeUInt16LE(queue, 48);
  entry.writeUInt16LE(tag, 50);
  entry.writeInt32LE(result, 52);
  entry.writeBigUInt64LE(address, 56);
}

export interface IoFields {
  readonly queue: number;
  readonly tag: number;
  readonly result: number;
  readonly address: bigint;
}

export const DESCRIPTOR_SIZE = 24;
/** Queues of a device at most, and requests that the descriptors of each have room for. */
export const MOST_QUEUES = 32;
const MOST_DEEP = 4096;

/** Where the descriptors of a queue are mapped, in bytes. */
export const descriptorsAt = (queue: number): number => queue * MOST_DEEP * DESCRIPTOR_SIZE;

/** What a request of the kernel asks for. */
export interface Descriptor {
  readonly operation: number;
  readonly flags: number;
  readonly offset: bigint;
  /** Bytes. */
  readonly length: number;
}

export function decodeDescriptor(bytes: Buffer, tag: number): Descriptor {
  const at = tag * DESCRIPTOR_SIZE;
  const word = bytes.readUInt32LE(at);
  return {
    operation: word & 0xff,
    flags: word & ~0xff,
    offset: bytes.readBigUInt64LE(at + 8) * BigInt(SECTOR),
    length: bytes.readUInt32LE(at + 4) * SECTOR,
  };
}
