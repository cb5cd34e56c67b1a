import { fstatSync } from 'node:fs';
import { UsageError } from '../../block/errors.ts';
import type { SharedMemory } from '../../client/shared-memory.ts';
import { type CopyOptions, copy as copyDevice } from '../../copy/copy.ts';
import type { Reached } from '../../copy/journal.ts';
import { kernelMove, type Move } from '../../copy/kernel.ts';
import { copyFromStream, copyToStream } from '../../copy/streams.ts';
import { BASE_ALLOCATION } from '../../protocol/constants.ts';
import { type Endpoint, PipeClosed } from '../cli.ts';
import {
  type Connecting,
  type DeviceEnd,
  type End,
  openDestination,
  openSource,
} from './endpoints.ts';
import { hashed } from './hash.ts';
import type { Settings } from './options.ts';
import { isBrokenPipe, passOn, readFrom, writeTo } from './pipe.ts';
import { startProgress } from './progress.ts';
import { reachedBefore, resumed } from './resume.ts';

/**
 * Bytes under way are those of each connection. Where one thread works at this end, more connections and
 * more bytes only wait for each other.
 */
const LOCAL = { connections: 1, queueSize: 4 << 20, requestSize: 1 << 20 };
/** Through shared memory each request costs more than its bytes do. */
const SHARED = { connections: 1, queueSize: 8 << 20, requestSize: 2 << 20 };
/** Over a network they fill the line. */
const REMOTE = { connections: 4, queueSize: 16 << 20, requestSize: 1 << 20 };

/** Copies everything. @throws UsageError or BlockError what failed, and where. */
export async function copy(from: Endpoint, to: Endpoint, settings: Settings): Promise<void> {
  const connecting = connectingOf(settings);
  const source = await openSource(from, connecting(settings.extents));
  try {
    if (settings.verify) mustBeReadable(source);
    const reached = await reachedBefore(settings, source);
    const options = { ...connecting(settings.verify), keep: reached !== undefined };
    const destination = await openDestination(to, source, options);
    try {
      if (settings.verify) mustBeReadable(destination);
      if (settings.verbose) describe(source, destination);
      await copyOpened({ source, destination, reached }, settings);
    } finally {
      if (destination.kind === 'device') await destination.close();
    }
  } finally {
    if (source.kind === 'device') await source.close();
  }
}

function connectingOf({
  retries,
  sharedMemory,
  verbose,
}: Settings): (extents: boolean) => Connecting {
  const debug = (message: string) => {
    if (verbose) process.stderr.write(`nbdcopy: ${message}\n`);
  };
  let made: Promise<SharedMemory | undefined> | undefined;
  const memory = async () => {
    if (sharedMemory) made ??= import('../../client/shared-memory.ts').then(createMemory);
    return made;
  };
  return extents => ({ contexts: extents ? [BASE_ALLOCATION] : [], retries, memory, debug });
}

type MemoryModule = typeof import('../../client/shared-memory.ts');

const createMemory = ({ SharedMemory }: MemoryModule) => SharedMemory.create();

function mustBeReadable(end: End): void {
  if (end.kind === 'device' && !end.lost) return;
  throw new UsageError(`--verify: ${end.name} cannot be read again: expected a file or a server`);
}

interface Ends {
  readonly source: End;
  readonly destination: End;
  readonly reached: Reached | undefined;
}

async function copyOpened(ends: Ends, settings: Settings): Promise<void> {
  const { source, reached } = ends;
  const size = source.kind === 'device' ? source.device.size : undefined;
  const progress = startProgress(settings.progress, size);
  // Reading everything back is the other half of the work.
  const share = settings.verify ? 0.5 : 1;
  if (reached) progress.begin(Number(reached.done) * share);
  const advance = (bytes: number) => progress.advance(bytes * share);
  try {
    await copyAll(ends, settings, { ...optionsOf(settings), progress: advance });
  } catch (error) {
    progress.leave();
    throw error;
  }
  progress.done();
}

async function copyAll(ends: Ends, settings: Settings, options: CopyOptions): Promise<void> {
  const { source, destination } = ends;
  await hashed(settings, destination, hashing =>
    resumed(settings, ends, resuming =>
      copyEnds(source, destination, settings, { ...options, ...hashing, ...resuming }),
    ),
  );
  if (settings.verify && source.kind === 'device' && destination.kind === 'device') {
    const { compare } = await import('../../copy/compare.ts');
    const { from, to, fitting } = await connect(source, destination, settings);
    await compare(from, to, { ...options, ...fitting });
  }
}

async function copyEnds(
  source: End,
  destination: End,
  settings: Settings,
  options: CopyOptions,
): Promise<void> {
  if (destination.kind === 'device') {
    if (source.kind === 'device') await copyBetween(source, destination, settings, options);
    else await copyFromStream(readFrom(source.fd), destination.device, options);
    return;
  }
  try {
    if (source.kind === 'device') {
      await copyToStream(source.device, writeTo(destination.fd), options);
    } else await passOn(source.fd, destination.fd, options);
  } catch (error) {
    throw isBrokenPipe(error) ? new PipeClosed('the pipe was closed') : error;
  }
}

async function copyBetween(
  source: DeviceEnd,
  destination: DeviceEnd,
  settings: Settings,
  options: CopyOptions,
): Promise<void> {
  const { from, to, fitting } = await connect(source, destination, settings);
  const bySight = options.observer?.seen !== undefined;
  const move = bySight ? undefined : kernelCopy(source.file, destination.file, settings);
  const memory = bySight ? undefined : (source.memory ?? destination.memory);
  const take = memory && ((length: number) => memory.take(length));
  await copyDevice(from, to, { ...options, ...fitting, move, memory: take });
}

/** As many connections as are good for both ends. */
async function connect(source: DeviceEnd, destination: DeviceEnd, settings: Settings) {
  const shareable = source.shareable && destination.shareable && !settings.synchronous;
  const usual = usualFor(source, destination);
  const { connections, queueSize, requestSize } = settings;
  const count = shareable ? (connections ?? usual.connections) : 1;
  const from = await source.connections(count);
  const to = await destination.connections(count);
  return {
    from,
    to,
    fitting: {
      queueSize: (queueSize ?? usual.queueSize) * Math.max(from.length, to.length),
      requestSize: requestSize ?? usual.requestSize,
    },
  };
}

function usualFor(source: DeviceEnd, destination: DeviceEnd) {
  if (!source.local || !destination.local) return REMOTE;
  // Files are quickest by pieces that are written at once.
  const isShared = source.memory || destination.memory;
  return isShared && destination.file === undefined ? SHARED : LOCAL;
}

function optionsOf(settings: Settings): CopyOptions {
  const { allocated, destinationIsZero, extents, flush, queueSize, requestSize, sparse } = settings;
  return {
    allocated,
    ...(destinationIsZero && { destinationIsZero }),
    extents,
    flush,
    queueSize,
    requests: settings.synchronous ? 1 : settings.requests,
    requestSize,
    sparse,
  };
}

/** The kernel copies within one file system, when nobody asks for more than holes to be found. */
function kernelCopy(
  from: number | undefined,
  to: number | undefined,
  { extents, sparse }: Settings,
): Move | undefined {
  if (from === undefined || to === undefined || !extents || sparse !== undefined) return undefined;
  return fstatSync(from).dev === fstatSync(to).dev ? kernelMove(from, to) : undefined;
}

function describe(...ends: readonly End[]): void {
  for (const end of ends) {
    const shared = end.kind === 'device' && end.memory ? ', over shared memory' : '';
    const size = end.kind === 'device' ? `${end.device.size} bytes${shared}` : 'a pipe';
    process.stderr.write(`nbdcopy: ${end.name}: ${size}\n`);
  }
}
