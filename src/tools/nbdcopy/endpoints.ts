import { constants, fstatSync, openSync, statSync } from 'node:fs';
import { isatty } from 'node:tty';
import { allOpened } from '../../block/all-opened.ts';
import type { BlockDevice } from '../../block/device.ts';
import { BlockError, errnoOf, messageOf, reasonOf, UsageError } from '../../block/errors.ts';
import { NbdClient } from '../../client/client.ts';
import type { SharedMemory } from '../../client/shared-memory.ts';
import { nowhere } from '../../copy/nowhere.ts';
import { isNbdUri, isWebUrl } from '../../protocol/uri.ts';
import { fileDevice } from '../../stores/file/device.ts';
import { type OpenFile, openFile } from '../../stores/file/open.ts';
import type { Endpoint } from '../cli.ts';
import { openTarget, type Target } from '../target.ts';

/** An end of a copy: a device, perhaps by several connections, or a pipe. */
export type End =
  | DeviceEnd
  | { readonly kind: 'stream'; readonly name: string; readonly fd: number };

export interface DeviceEnd {
  readonly kind: 'device';
  readonly name: string;
  readonly device: BlockDevice;
  /** The descriptor of a regular file, for the kernel to copy it. */
  readonly file?: number;
  /** On this machine: what is asked for is there at once. */
  readonly local: boolean;
  /** Memory that the server has mapped too. */
  readonly memory?: SharedMemory | undefined;
  /** Whatever is written is lost. */
  readonly lost?: boolean;
  /** Any number of connections are as good as one. */
  readonly shareable: boolean;
  /** `count` connections to the same, of which `device` is the first. */
  connections(count: number): Promise<readonly BlockDevice[]>;
  /** Closes all of them and ends what was started for the copy. */
  close(): Promise<void>;
}

const STDIN = 0;
const STDOUT = 1;
const MODE = 0o644;

/** How connections to servers are made. */
export interface Connecting {
  /** The metadata contexts to ask for. */
  readonly contexts: readonly string[];
  /** Memory to share with servers on this machine, if that is wanted. */
  memory(): Promise<SharedMemory | undefined>;
  /** How often a lost connection is made again. */
  readonly retries: number;
  /** Told of lost connections. */
  debug(message: string): void;
}

/** @throws UsageError or BlockError that begins with the end's name. */
export async function openSource(endpoint: Endpoint, connecting: Connecting): Promise<End> {
  if ('command' in endpoint || isNbdUri(endpoint.word)) return openNbd(endpoint, connecting);
  const name = endpoint.word;
  if (name === '-') return { kind: 'stream', name, fd: STDIN };
  if (isWebUrl(name)) return webEnd(name);
  if (name === 'null:') throw new UsageError('null: can only be the destination');
  const stat = statOf(name);
  if (!stat) throw new UsageError(`${name}: no such file`);
  if (stat.isDirectory()) throw new UsageError(`${name}: is a directory`);
  if (!stat.isFile() && !stat.isBlockDevice()) {
    return { kind: 'stream', name, fd: opened(name, constants.O_RDONLY) };
  }
  return fileEnd(name, openFile(name, true));
}

export interface DestinationOptions extends Connecting {
  /** A file keeps what is in it, and must be there. */
  readonly keep: boolean;
}

/**
 * Opens the destination, last of all, as a file loses what was in it unless it is to `keep` that.
 * @param source must be another file.
 * @throws UsageError or BlockError that begins with the end's name.
 */
export async function openDestination(
  endpoint: Endpoint,
  source: End,
  options: DestinationOptions,
): Promise<End> {
  if ('command' in endpoint || isNbdUri(endpoint.word)) {
    const end = await openNbd(endpoint, options);
    if (end.device.write) return end;
    await end.close();
    throw new UsageError(`${end.name}: the destination is read-only, cannot write to it`);
  }
  const name = endpoint.word;
  if (name === '-') {
    if (isatty(STDOUT)) throw new UsageError('-: a disk is not written to a terminal');
    return { kind: 'stream', name, fd: STDOUT };
  }
  if (isWebUrl(name)) throw new UsageError('an address on the web can only be the source');
  if (name === 'null:') return nullEnd();
  const stat = statOf(name);
  if (stat?.isDirectory()) throw new UsageError(`${name}: is a directory`);
  if (stat && !stat.isFile() && !stat.isBlockDevice()) {
    return { kind: 'stream', name, fd: opened(name, constants.O_WRONLY) };
  }
  if (stat) refuseSame(name, stat, source);
  if (!stat?.isBlockDevice() && !options.keep) return newFile(name);
  const file = openFile(name, false);
  if (!file.writable) throw new UsageError(`${name}: permission denied`);
  return fileEnd(name, file);
}

/** The copy gives it its size. */
function newFile(name: string): DeviceEnd {
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_TRUNC;
  const fd = opened(name, flags);
  const shape = { writable: true, shared: false, blockDevice: false, rotational: undefined };
  return fileEnd(name, { ...shape, fd, size: 0n, sparse: false });
}

function opened(name: string, flags: number): number {
  try {
    return openSync(name, flags, MODE);
  } catch (error) {
    throw new BlockError(errnoOf(error), `${name}: ${reasonOf(error)}`, { cause: error });
  }
}

function statOf(name: string) {
  try {
    return statSync(name, { throwIfNoEntry: false });
  } catch (error) {
    throw new UsageError(`${name}: ${messageOf(error)}`);
  }
}

function refuseSame(name: string, stat: { dev: number; ino: number }, source: End): void {
  const fd = source.kind === 'stream' ? source.fd : source.file;
  if (fd === undefined) return;
  const { dev, ino } = fstatSync(fd);
  if (dev === stat.dev && ino === stat.ino) {
    throw new UsageError(`${name}: source and destination are the same file`);
  }
}

function fileEnd(name: string, file: OpenFile): DeviceEnd {
  return localEnd(name, fileDevice(file), file.blockDevice ? undefined : file.fd);
}

/** A device that needs no connection: one is as good as several. */
function localEnd(name: string, device: BlockDevice, file?: number): DeviceEnd {
  return {
    kind: 'device',
    name,
    device,
    ...(file !== undefined && { file }),
    local: true,
    shareable: true,
    connections: async count => Array(count).fill(device),
    close: async () => device.close?.(),
  };
}

async function webEnd(url: string): Promise<DeviceEnd> {
  const { openWebDevice } = await import('../web.ts');
  const { device, close } = await openWebDevice(url);
  return { ...localEnd(url.replace(/\?.*/, ''), device), local: false, close };
}

const nullEnd = (): DeviceEnd => ({ ...localEnd('null:', nowhere), lost: true });

async function openNbd(endpoint: Endpoint, connecting: Connecting): Promise<DeviceEnd> {
  const name = 'word' in endpoint ? endpoint.word : endpoint.command[0];
  let target: Target | undefined;
  try {
    target = await openTarget(endpoint);
    return await nbdEnd(name, target, connecting, 'word' in endpoint);
  } catch (error) {
    await target?.close();
    if (error instanceof Error && !error.message.includes(name)) {
      error.message = `${name}: ${error.message}`;
    }
    throw error;
  }
}

async function nbdEnd(
  name: string,
  target: Target,
  connecting: Connecting,
  shared: boolean,
): Promise<DeviceEnd> {
  // A server that runs only for us does not come back.
  const open = shared ? () => lasting(target, connecting) : () => enter(target, connecting);
  const first = await open();
  const clients = [first];
  return {
    kind: 'device',
    name,
    device: first,
    local: target.local,
    memory: sharedBy(first) ? await connecting.memory() : undefined,
    // A server that runs only for us may take no second connection.
    shareable: first.multiConn === true && shared,
    async connections(count) {
      await allOpened(count - clients.length, open, clients);
      return clients;
    },
    async close() {
      await Promise.all(clients.map(client => client.close?.()));
      await target.close();
    },
  };
}

const sharedBy = (device: BlockDevice) =>
  device instanceof NbdClient && device.agreement.sharedMemory > 0;

/** A connection that is made again when it is lost. */
async function lasting(target: Target, connecting: Connecting): Promise<BlockDevice> {
  if (connecting.retries === 0) return enter(target, connecting);
  // What was lost may still be under way in memory that several connections use.
  const own = { ...connecting, memory: async () => undefined };
  const first = await enter(target, own);
  const { reconnectingDevice } = await import('../../client/reconnecting.ts');
  return reconnectingDevice(first, () => enter(target, own), connecting);
}

async function enter(target: Target, { contexts, memory }: Connecting): Promise<NbdClient> {
  const sharedMemory = target.local ? await memory() : undefined;
  const negotiation = await target.negotiate({ contexts, sharedMemory });
  try {
    return await negotiation.go(target.exportName);
  } catch (error) {
    await negotiation.close();
    throw error;
  }
}
