import { closeSync, constants, ftruncateSync, openSync, readSync, writeSync } from 'node:fs';
import { contiguous, isKnownZero } from '../block/data.ts';
import type { BlockDevice } from '../block/device.ts';
import { BlockError, errnoOf, messageOf } from '../block/errors.ts';
import { sliceDevice } from '../block/slice.ts';
import { lockFile } from '../posix/lock.ts';
import { harmless } from '../protocol/text.ts';
import { BlockStates, PAGE } from './block-states.ts';
import { fileDevice } from './file/device.ts';
import { type OpenFile, openFile } from './file/open.ts';
import { Overlay, State } from './overlay.ts';

/**
 * A file that keeps an overlay from run to run: a header of 4096 bytes (a magic text, big-endian the
 * bytes of the disk, 64 bits, and of a block, 32 bits, then the name of the export), a byte for each
 * block with its state, and from the next MiB on the blocks, with holes for those that are not there.
 */
const MAGIC = Buffer.from('nbdpipe overlay\x001');
const HEADER = 4096;
const NAME = MAGIC.length + 12;
const MIB = 1 << 20;
/** Makes it, and does not wait for the other end of a pipe in its place. */
const NEW = constants.O_RDWR | constants.O_CREAT | constants.O_NONBLOCK;

/** The disk that an overlay belongs to. */
export interface OverlaidDisk {
  /** Of its export; '' where there is only one. */
  readonly name: string;
  /** Bytes. */
  readonly size: bigint;
  /** Bytes of a block. */
  readonly block: number;
}

/**
 * Opens a file with an overlay, or makes a new one where there is none or the file is empty.
 * @throws BlockError EBUSY another process has it; EINVAL it is of another disk, or no overlay.
 */
export async function openOverlayFile(path: string, disk: OverlaidDisk): Promise<Overlay> {
  const paged = BigInt(disk.block) * BigInt(PAGE);
  const pages = Number((disk.size + paged - 1n) / paged);
  const start = Math.ceil((HEADER + pages * PAGE) / MIB) * MIB;
  const states = new BlockStates(true);
  const file = openAlone(path, start, disk);
  try {
    await loadStates(file, states, pages);
  } catch (error) {
    await file.close!();
    throw new BlockError(errnoOf(error), `${path}: ${messageOf(error)}`);
  }
  let saved = Promise.resolve();
  const save = () => {
    saved = saved.catch(() => {}).then(() => saveStates(file, states));
    return saved;
  };
  const blocks = sliceDevice(file, BigInt(start), disk.size);
  return new Overlay({ blocks, save }, disk.size, disk.block, states);
}

/** The file, with a header that is right, which nobody else has. */
function openAlone(path: string, start: number, disk: OverlaidDisk): BlockDevice {
  let file: OpenFile | undefined;
  try {
    closeSync(openSync(path, NEW, 0o600));
    file = openFile(path, false);
    if (!file.writable || file.blockDevice) throw refused('expected a file that can be written');
    if (!lockFile(file.fd, true)) throw new BlockError('EBUSY', 'another process uses it');
    const header = headerOf(disk);
    if (file.size === 0n) {
      ftruncateSync(file.fd, start);
      writeSync(file.fd, header, 0, HEADER, 0);
    } else checkHeader(file.fd, header);
  } catch (error) {
    if (file) closeSync(file.fd);
    throw new BlockError(errnoOf(error), `${path}: ${messageOf(error)}`);
  }
  // States and blocks that were never written are holes, also those past the end.
  return fileDevice({ ...file, size: BigInt(start) + disk.size, sparse: true });
}

const refused = (why: string) => new BlockError('EINVAL', why);

function headerOf({ name, size, block }: OverlaidDisk): Buffer {
  const header = Buffer.alloc(HEADER);
  MAGIC.copy(header);
  header.writeBigUInt64BE(size, MAGIC.length);
  header.writeUInt32BE(block, MAGIC.length + 8);
  header.write(name, NAME);
  return header;
}

/** @throws BlockError EINVAL what is different. */
function checkHeader(fd: number, expected: Buffer): void {
  const found = Buffer.alloc(HEADER);
  readSync(fd, found, 0, HEADER, 0);
  if (found.equals(expected)) return;
  if (!found.subarray(0, MAGIC.length).equals(MAGIC)) throw refused('it is no overlay');
  const [was, is] = [found, expected].map(header => {
    const name = harmless(header.toString('utf8', NAME).replace(/\0.*/s, ''));
    const size = header.readBigUInt64BE(MAGIC.length);
    return `export '${name}' of ${size} bytes, in blocks of ${header.readUInt32BE(MAGIC.length + 8)}`;
  });
  throw refused(`it is an overlay of ${was}, and this is ${is}`);
}

/** @throws BlockError EIO there is something else in the place of a state. */
async function loadStates(file: BlockDevice, states: BlockStates, pages: number): Promise<void> {
  const most = MIB / PAGE;
  for (let page = 0; page < pages; page += most) {
    const length = Math.min(most, pages - page) * PAGE;
    const bytes = contiguous(await file.read(BigInt(HEADER + page * PAGE), length));
    if (isKnownZero(bytes)) continue;
    if (!states.load(page, bytes, State.dirty)) throw new BlockError('EIO', 'it is damaged');
  }
}

/** Blocks first, then the states that tell of them. */
async function saveStates(file: BlockDevice, states: BlockStates): Promise<void> {
  const changed = states.takeChanged();
  try {
    await file.flush!();
    for (const { page, bytes } of changed) {
      await file.write!(BigInt(HEADER + page * PAGE), bytes);
    }
    if (changed.length > 0) await file.flush!();
  } catch (error) {
    states.giveBackChanged(changed);
    throw error;
  }
}
