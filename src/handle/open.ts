import { alignedDevice } from '../block/aligned.ts';
import { allOpened } from '../block/all-opened.ts';
import { checked } from '../block/checked.ts';
import { closeAll } from '../block/close-all.ts';
import type { BlockDevice, DeviceSource, OpenRequest, RequestOptions } from '../block/device.ts';
import { UsageError } from '../block/errors.ts';
import { poolDevice } from '../block/pool.ts';
import { readOnlyDevice } from '../block/read-only.ts';
import { asSource } from '../block/source.ts';
import { PASS, wrapDevice } from '../block/wrap.ts';
import { NbdClient } from '../client/client.ts';
import { type ConnectOptions, connect, goOrClose } from '../client/connect.ts';
import { reconnectingDevice } from '../client/reconnecting.ts';
import { type AnyPlugin, pluginSource } from '../declare/configure.ts';
import { isNbdUri, isWebUrl, parseNbdUri } from '../protocol/uri.ts';
import { within } from './deadline.ts';
import { Disk } from './disk.ts';
import type { DiskOptions } from './types.ts';

/**
 * What is a disk: an NBD URI, an address on the web, the name of a file, a command with a server that
 * understands socket activation, a plugin, or a device or a source of some.
 */
export type Openable = string | readonly string[] | AnyPlugin | BlockDevice | DeviceSource;

export interface OpenOptions
  extends Omit<ConnectOptions, 'exportName'>,
    Pick<DiskOptions, 'debug'> {
  /** Which disk of those that there are; as the URI says unless said. */
  readonly exportName?: string | undefined;
  /** Nothing is written, whatever the disk can. */
  readonly readOnly?: boolean | undefined;
  /** In ms, for opening it. */
  readonly timeout?: number | undefined;
  /** Most connections to a server that allows several; 1 unless said. */
  readonly connections?: number | undefined;
  /** What a lost connection means: nothing is tried again unless said. */
  readonly reconnect?: boolean | Reconnect | undefined;
  /**
   * Of an image in a file, such as qcow2; 'auto': as the file begins. Its backing files are opened
   * where they lie in its folder. Unless said a file is a disk as it is.
   */
  readonly format?: string | undefined;
  /** Of a plugin, as they stand on a command line. */
  readonly parameters?: readonly string[] | undefined;
}

/** With servers on this machine, unless options say something else. */
const sharedMemory = true;

/** How often, and how soon, a server is connected to again and the requests are made again. */
export interface Reconnect {
  /** 5 unless said. */
  readonly retries?: number | undefined;
  /** Before the first time, in ms; twice as long each time. 500 unless said. */
  readonly delay?: number | undefined;
}

/** Where devices come from. */
interface Origin {
  readonly exportName: string;
  open(options: RequestOptions): Promise<BlockDevice>;
  /** Ends what was started. */
  close(): Promise<void>;
}

/**
 * Opens a disk; close it, or use `await using`.
 * @throws UsageError for a URI or parameters that cannot be used; BlockError; the signal's reason.
 */
export async function open(what: Openable, options: OpenOptions = {}): Promise<Disk> {
  checkOpening(what, options);
  return within(options, async signal => {
    const origin = await originOf(what, { ...options, signal });
    const opened: Connection[] = [];
    try {
      const one = () => connection(origin, options, signal);
      opened.push(await one());
      const { connections = 1 } = options;
      if (opened[0]!.device.multiConn) await allOpened(connections - 1, one, opened);
      return diskOf(origin, opened, options);
    } catch (error) {
      await Promise.allSettled([closeAll(opened.map(({ device }) => device))]);
      await origin.close();
      throw error;
    }
  });
}

/** Before anything is started. @throws UsageError */
function checkOpening(what: Openable, { connections = 1, reconnect = false }: OpenOptions): void {
  if (typeof what !== 'string' && (typeof what !== 'object' || what === null)) {
    const right = 'expected an NBD URI, the name of a file, a command, a plugin or a device';
    throw new UsageError(`open: ${right}, not ${String(what)}`);
  }
  if (!isCount(connections) || connections === 0) {
    throw new UsageError(`connections: expected a whole number from 1, not ${connections}`);
  }
  const { retries = 0, delay = 0 } = typeof reconnect === 'object' ? reconnect : {};
  if (isCount(retries) && delay >= 0) return;
  throw new UsageError('reconnect: expected true, false, or { retries, delay } of 0 or more');
}

const isCount = (value: number) => Number.isSafeInteger(value) && value >= 0;

function diskOf(origin: Origin, opened: readonly Connection[], options: OpenOptions): Disk {
  const { strict, debug, readOnly } = options;
  const devices = opened.map(({ device }) => (readOnly ? readOnlyDevice(device) : device));
  const all = devices.length === 1 ? devices[0]! : poolDevice(devices);
  const device = strict === false ? all : alignedDevice(all);
  const close = async () => {
    try {
      await device.close?.();
    } finally {
      await origin.close();
    }
  };
  return new Disk(wrapDevice(device, { ...PASS, close }), {
    exportName: origin.exportName,
    strict,
    debug,
    connections: devices,
    drop: () => {
      for (const { drop } of opened) drop();
    },
  });
}

interface Connection {
  readonly device: BlockDevice;
  /** Hangs up. */
  drop(): void;
}

/** One connection, which is made again when it is lost, if that is wanted. */
async function connection(
  origin: Origin,
  { reconnect = false, debug = () => {} }: OpenOptions,
  signal: AbortSignal | undefined,
): Promise<Connection> {
  const first = await origin.open({ signal });
  let current = first;
  const drop = () => {
    if (current instanceof NbdClient) current.abort();
  };
  if (reconnect === false) return { device: first, drop };
  const { retries = 5, delay } = reconnect === true ? {} : reconnect;
  const again = async (options: RequestOptions) => {
    current = await origin.open(options);
    return current;
  };
  return { device: reconnectingDevice(first, again, { retries, delay, debug }), drop };
}

const nothing = async () => {};

function originOf(what: Openable, options: OpenOptions): Origin | Promise<Origin> {
  if (typeof what !== 'string')
    return isCommand(what) ? commandOrigin(what, options) : partOrigin(what, options);
  if (isNbdUri(what)) return uriOrigin(what, options);
  return isWebUrl(what) ? webOrigin(what, options) : fileOrigin(what, options);
}

const isCommand = (what: object): what is readonly string[] => Array.isArray(what);

/** Others' code: what it gets wrong is found before it does harm. */
async function partOrigin(
  what: AnyPlugin | BlockDevice | DeviceSource,
  options: OpenOptions,
): Promise<Origin> {
  const { exportName = '', parameters = [] } = options;
  const plugin = 'create' in what;
  const source = plugin ? await pluginSource(what, ...parameters) : asSource(what);
  return {
    exportName,
    open: async given => checked(await source.open(requestOf(options, given))),
    close: async () => {
      if (plugin) await source.close?.();
    },
  };
}

/** As the curl plugin has it; `parameters` are those of that plugin. */
async function webOrigin(url: string, options: OpenOptions): Promise<Origin> {
  const { default: curl } = await import('../plugins/curl/curl.ts');
  const { parameters = [] } = options;
  return partOrigin(curl, { ...options, parameters: [`url=${url}`, ...parameters] });
}

function uriOrigin(text: string, options: OpenOptions): Origin {
  const uri = parseNbdUri(text);
  const { exportName = uri.exportName } = options;
  const open = ({ signal }: RequestOptions) =>
    connect(uri, { sharedMemory, ...options, exportName, signal });
  return { exportName, open, close: nothing };
}

async function commandOrigin(argv: readonly string[], options: OpenOptions): Promise<Origin> {
  const { activate } = await import('../client/command.ts');
  const { exportName = '' } = options;
  const server = await activate(argv);
  return {
    exportName,
    open: async ({ signal }) =>
      goOrClose(await server.negotiate({ sharedMemory, ...options, signal }), exportName, {
        signal,
      }),
    close: server.close,
  };
}

async function fileOrigin(path: string, options: OpenOptions): Promise<Origin> {
  const { format, readOnly = false } = options;
  if (format !== undefined) return imageOrigin(path, format, options);
  const { openFile } = await import('../stores/file/open.ts');
  const { fileDevice } = await import('../stores/file/device.ts');
  return { exportName: '', open: async () => fileDevice(openFile(path, readOnly)), close: nothing };
}

/** The disk in an image file. */
async function imageOrigin(
  path: string,
  format: string,
  { readOnly = false }: OpenOptions,
): Promise<Origin> {
  const { openImageFile } = await import('../formats/open-image.ts');
  const { filesBeside, namedFile } = await import('../stores/file/beside.ts');
  const told = format === 'auto' ? undefined : format;
  const open = async ({ signal }: RequestOptions) => {
    const options = { format: told, files: filesBeside(), readOnly, signal };
    return (await openImageFile(namedFile(path, readOnly), options)).device;
  };
  return { exportName: '', open, close: nothing };
}

/** As a client within this program. */
function requestOf(
  { exportName = '', readOnly = false }: OpenOptions,
  { signal = new AbortController().signal }: RequestOptions,
): OpenRequest {
  return {
    exportName,
    readOnly,
    tls: false,
    peer: { family: 'pipe' },
    signal,
    disconnect: () => {},
  };
}
