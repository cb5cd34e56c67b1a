import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rename, rm } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { BlockError, messageOf, UsageError } from '../block/errors.ts';
import { SocketTransport } from '../transport/socket.ts';
import { StreamTransport } from '../transport/stream.ts';
import type { NbdClient } from './client.ts';
import { type ConnectOptions, goOrClose } from './connect.ts';
import { Negotiation, type NegotiationOptions } from './negotiation.ts';

/**
 * Runs a server that speaks NBD on its standard input and output, such as `nbdkit -s`, and connects.
 * It ends with the connection.
 * @throws BlockError it cannot be run or does not speak NBD.
 */
export async function connectCommand(
  argv: readonly string[],
  options: ConnectOptions = {},
): Promise<NbdClient> {
  return goOrClose(await negotiateCommand(argv, options), options.exportName ?? '');
}

/** As `connectCommand`, and stops before an export is chosen. */
export async function negotiateCommand(
  argv: readonly string[],
  options: NegotiationOptions = {},
): Promise<Negotiation> {
  const child = spawn(program(argv), argv.slice(1), { stdio: ['pipe', 'pipe', 'inherit'] });
  await spawned(child, argv);
  return Negotiation.begin(new StreamTransport(child.stdout!, child.stdin!), options);
}

/** A server that was started for this client by socket activation. */
export interface ActivatedServer {
  /** The Unix socket where it listens; for more connections. */
  readonly path: string;
  /** Connects, once more each time. */
  negotiate(options?: NegotiationOptions): Promise<Negotiation>;
  /** Ends the server and removes its socket. */
  close(): Promise<void>;
}

/**
 * Runs a server with a listening socket as its file descriptor 3 (systemd socket activation), as
 * `qemu-nbd` and `nbdkit` take it. The caller closes it.
 * @throws BlockError it cannot be run.
 */
export async function activate(argv: readonly string[]): Promise<ActivatedServer> {
  const directory = await mkdtemp(join(tmpdir(), 'nbdpipe-'));
  const path = join(directory, 'socket');
  const child = await spawnWithListener(argv, directory, path);
  const gone = endOf(child, argv);
  return {
    path,
    negotiate: options => negotiateWith(path, gone, options),
    close: async () => {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM');
      await gone;
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** Activates a server and connects to it; closing the client ends it. @throws as `activate`. */
export async function connectSystemdSocketActivation(
  argv: readonly string[],
  options: ConnectOptions = {},
): Promise<NbdClient> {
  const server = await activate(argv);
  try {
    const client = await goOrClose(await server.negotiate(options), options.exportName ?? '');
    const disconnect = client.close.bind(client);
    client.close = async () => {
      await disconnect();
      await server.close();
    };
    return client;
  } catch (error) {
    await server.close();
    throw error;
  }
}

/** How the command ended, once it has; it may have ended before anyone asks. */
async function endOf(child: ChildProcess, argv: readonly string[]): Promise<string> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  const { exitCode, signalCode } = child;
  const how = signalCode ? `signal ${signalCode}` : `status ${exitCode}`;
  return `the command ${argv[0]} ended with ${how}`;
}

async function negotiateWith(
  path: string,
  gone: Promise<string>,
  options: NegotiationOptions = {},
): Promise<Negotiation> {
  try {
    const transport = await SocketTransport.connect({ path }, options.signal);
    void gone.then(() => transport.destroy());
    return await Negotiation.begin(transport, options);
  } catch (error) {
    // The connection may be reset just before the news of the server's end arrives.
    const reason = await Promise.race([gone, delay(100, messageOf(error))]);
    throw new BlockError('ECONNRESET', reason, { cause: error });
  }
}

/**
 * The listener is made under another name and renamed, because closing it here unlinks the name that
 * it was made with. LISTEN_PID must be the server's own, which only a shell in its place can know.
 */
async function spawnWithListener(
  argv: readonly string[],
  directory: string,
  path: string,
): Promise<ChildProcess> {
  program(argv);
  const made = join(directory, 'listener');
  const listener = net.createServer();
  try {
    listener.listen(made);
    await once(listener, 'listening');
    const { fd } = (listener as unknown as { _handle: { fd: number } })._handle;
    const child = spawn('/bin/sh', ['-c', 'LISTEN_PID=$$ exec "$@"', 'sh', ...argv], {
      stdio: ['inherit', 'inherit', 'inherit', fd],
      env: { ...process.env, LISTEN_FDS: '1' },
    });
    await spawned(child, argv);
    await rename(made, path);
    return child;
  } catch (error) {
    await rm(directory, { recursive: true, force: true });
    throw error;
  } finally {
    listener.close();
  }
}

function program(argv: readonly string[]): string {
  const [name] = argv;
  if (!name) throw new UsageError('the command to run is missing');
  return name;
}

async function spawned(child: ChildProcess, argv: readonly string[]): Promise<void> {
  try {
    await once(child, 'spawn');
  } catch (error) {
    throw new BlockError('ENOENT', `cannot run ${argv[0]}: ${messageOf(error)}`, { cause: error });
  }
}
