import { fstatSync } from 'node:fs';
import { type CopyOptions, copy as copyDevice } from '../../copy/copy.ts';
import { kernelMove, type Move } from '../../copy/kernel.ts';
import { copyFromStream, copyToStream } from '../../copy/streams.ts';
import { BASE_ALLOCATION } from '../../protocol/constants.ts';
import { type Endpoint, PipeClosed } from '../cli.ts';
import { type DeviceEnd, type End, openDestination, openSource } from './endpoints.ts';
import { hashed } from './hash.ts';
import type { Settings } from './options.ts';
import { isBrokenPipe, passOn, readFrom, writeTo } from './pipe.ts';
import { startProgress } from './progress.ts';

/** Where one thread works at this end, more connections and more bytes only wait for each other. */
const LOCAL = { connections: 1, queueSize: 4 << 20 };
/** Over a network they fill the line. */
const REMOTE = { connections: 4, queueSize: 16 << 20 };

/** Copies everything. @throws UsageError or BlockError what failed, and where. */
export async function copy(from: Endpoint, to: Endpoint, settings: Settings): Promise<void> {
  const source = await openSource(from, settings.extents ? [BASE_ALLOCATION] : []);
  try {
    const destination = await openDestination(to, source);
    try {
      const size = source.kind === 'device' ? source.device.size : undefined;
      if (settings.verbose) describe(source, destination);
      const progress = startProgress(settings.progress, size);
      const options = { ...optionsOf(settings), progress: progress.advance };
      await hashed(settings, destination, observing =>
        copyEnds(source, destination, settings, { ...options, ...observing }),
      );
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
  const shareable = source.shareable && destination.shareable && !settings.synchronous;
  const fitting = source.local && destination.local ? LOCAL : REMOTE;
  const count = shareable ? (settings.connections ?? fitting.connections) : 1;
  const bySight = options.observer?.seen !== undefined;
  await copyDevice(await source.connections(count), await destination.connections(count), {
    ...options,
    queueSize: settings.queueSize ?? fitting.queueSize,
    move: bySight ? undefined : kernelCopy(source.file, destination.file, settings),
  });
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
    const size = end.kind === 'device' ? `${end.device.size} bytes` : 'a pipe';
    process.stderr.write(`nbdcopy: ${end.name}: ${size}\n`);
  }
}
