import { fstatSync } from 'node:fs';
import { paddingDevice } from '../../block/constant.ts';
import type { BlockDevice } from '../../block/device.ts';
import { joinDevices } from '../../block/join.ts';
import { copyRange } from '../../posix/copy-range.ts';
import { BASE_ALLOCATION } from '../../protocol/constants.ts';
import type { OpenFile } from '../../stores/file/open.ts';
import type { Endpoint } from '../cli.ts';
import { type DeviceEnd, type End, openDestination, openSource, setSize } from './endpoints.ts';
import { type CopyOptions, copyDevices, located, type Zeroes } from './engine.ts';
import type { Settings } from './options.ts';
import { type Progress, startProgress } from './progress.ts';
import { copyFromStream, copyToStream, pipeDevice, tooSmall } from './streams.ts';
import { type Piece, Work } from './work.ts';

/** Where one thread works at this end, more connections and more bytes only wait for each other. */
const LOCAL = { connections: 1, queueSize: 4 << 20 };
/** Over a network they fill the line. */
const REMOTE = { connections: 4, queueSize: 16 << 20 };
const SMALLEST_BLOCK = 4096;
/** More is no quicker, and every one has its memory. */
const MOST_SLOTS = 4096;
/** What the kernel copies at once, in bytes; several at once would wait for each other. */
const KERNEL_PIECE = 64 << 20;

/** Copies everything. @throws UsageError or BlockError what failed, and where. */
export async function copy(from: Endpoint, to: Endpoint, settings: Settings): Promise<void> {
  const source = await openSource(from, settings.extents ? [BASE_ALLOCATION] : []);
  try {
    const destination = await openDestination(to, source);
    try {
      const size = source.kind === 'device' ? source.device.size : undefined;
      if (settings.verbose) describe(source, destination);
      const progress = startProgress(settings.progress, size);
      await copyEnds(source, destination, settings, progress);
      progress.done();
    } finally {
      if (destination.kind === 'device') await destination.close();
    }
  } finally {
    if (source.kind === 'device') await source.close();
  }
}

async function copyEnds(
  source: End,
  destination: End,
  settings: Settings,
  { advance }: Progress,
): Promise<void> {
  if (destination.kind === 'stream') {
    const parallel = { ...parallelOf(settings, 1, 1), advance };
    if (source.kind === 'device') {
      const work = new Work(source.device, settings.extents, parallel.requestSize, 1);
      return copyToStream(work, source.device, destination.fd, parallel);
    }
    const pipe = pipeDevice(destination.fd);
    const plain = { allocated: true, isZero: false, block: 0 };
    const options = { ...parallel, ...plain, slots: 1, destinations: [pipe] };
    await copyFromStream(source.fd, undefined, options);
    return;
  }
  if (source.kind === 'device') await copyBetween(source, destination, settings, advance);
  else await copyIn(source.fd, destination, settings, advance);
  if (settings.flush) await destination.device.flush?.();
}

async function copyIn(
  fd: number,
  { device, file }: DeviceEnd,
  settings: Settings,
  advance: CopyOptions['advance'],
): Promise<void> {
  const granularity = device.blockSize?.minimum ?? 1;
  const { requestSize, slots } = parallelOf(settings, 1, granularity);
  const zeroes = zeroesOf(settings, device, file, requestSize);
  const limit = file ? undefined : device.size;
  const options = { ...zeroes, requestSize, slots, destinations: [device], advance };
  const length = await copyFromStream(fd, limit, options);
  if (file) setSize(file, length);
}

async function copyBetween(
  source: DeviceEnd,
  destination: DeviceEnd,
  settings: Settings,
  advance: CopyOptions['advance'],
): Promise<void> {
  const { device, file } = destination;
  if (!file && device.size < source.device.size) throw tooSmall();
  if (file) setSize(file, source.device.size);
  const shareable = source.shareable && destination.shareable && !settings.synchronous;
  const fitting = source.local && destination.local ? LOCAL : REMOTE;
  const connections = shareable ? (settings.connections ?? fitting.connections) : 1;
  const granularity = Math.max(minimumOf(source.device), minimumOf(device));
  const parallel = parallelOf(settings, connections, granularity, fitting.queueSize);
  const kernel = file && kernelCopies(source.file, file, settings) ? source.file : undefined;
  const requestSize = kernel ? KERNEL_PIECE : parallel.requestSize;
  const whole = padded(source.device, device.size, granularity);
  const destinations = await destination.connections(connections);
  // Zeroes that must be written are work for all slots.
  const zeroSize = device.zero ? undefined : requestSize;
  const work = new Work(whole, settings.extents, requestSize, granularity, zeroSize);
  await copyDevices(work, {
    ...zeroesOf(settings, device, file, requestSize),
    sources: whole === source.device ? await source.connections(connections) : [whole],
    destinations,
    requestSize,
    slots: kernel ? 1 : parallel.slots,
    move: kernel && file && mover(kernel, file),
    advance,
  });
  if (settings.flush) await Promise.all(destinations.map(each => each.flush?.()));
}

const minimumOf = (device: BlockDevice) => device.blockSize?.minimum ?? 1;

/** The source with zeroes up to a whole block, where the destination has room for them. */
function padded(source: BlockDevice, room: bigint, granularity: number): BlockDevice {
  const missing = -source.size & BigInt(granularity - 1);
  if (missing === 0n || source.size + missing > room) return source;
  return joinDevices([source, paddingDevice(missing)]);
}

/** How large requests are and how many are under way at once. */
function parallelOf(
  { requestSize: wanted, requests, queueSize, synchronous }: Settings,
  connections: number,
  granularity: number,
  fittingQueue = REMOTE.queueSize,
): { requestSize: number; slots: number } {
  const requestSize = Math.max(wanted, granularity);
  const queued = Math.max(1, Math.floor((queueSize ?? fittingQueue) / requestSize));
  const slots = Math.min(requests * connections, queued, MOST_SLOTS);
  return { requestSize, slots: synchronous ? 1 : slots };
}

function zeroesOf(
  { allocated, destinationIsZero, sparse }: Settings,
  device: BlockDevice,
  file: OpenFile | undefined,
  requestSize: number,
): Zeroes {
  const preferred = Math.max(SMALLEST_BLOCK, device.blockSize?.preferred ?? 0);
  return {
    allocated,
    isZero: destinationIsZero || file !== undefined,
    block: sparse ?? Math.min(preferred, requestSize),
  };
}

/** The kernel copies within one file system, when nobody asks for more than holes to be found. */
function kernelCopies(
  from: OpenFile | undefined,
  to: OpenFile,
  { extents, sparse }: Settings,
): boolean {
  if (!from || !extents || sparse !== undefined) return false;
  return fstatSync(from.fd).dev === fstatSync(to.fd).dev;
}

/** Lets the kernel copy pieces of one file into another. */
function mover(from: OpenFile, to: OpenFile): (piece: Piece) => Promise<boolean> {
  return async ({ offset, length }) => {
    for (let done = 0; done < length; ) {
      const at = offset + BigInt(done);
      const count = await copyRange(from.fd, at, to.fd, at, length - done).catch(error => {
        throw located('copy', at, error);
      });
      if (count === undefined) return false;
      if (count === 0) throw located('read', at, new Error('the file was cut short'));
      done += count;
    }
    return true;
  };
}

function describe(...ends: readonly End[]): void {
  for (const end of ends) {
    const { name } = end;
    const size = end.kind === 'device' ? `${end.device.size} bytes` : 'a pipe';
    process.stderr.write(`nbdcopy: ${name}: ${size}\n`);
  }
}
