import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync } from 'node:fs';
import { mkdtemp, rename, rm } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { BlockError, messageOf, UsageError } from '../block/errors.ts';
import { socketPair } from '../posix/socket-pair.ts';
import { SocketTransport } from '../transport/socket.ts';
import { StreamTransport } from '../transport/stream.ts';
import type { Transport } from '../transport/transport.ts';
import type { NbdClient } from './client.ts';
import { type ConnectOptions, dial } from './connect.ts';
import { Negotiation, type NegotiationOptions } from './negotiation.ts';

/** How long a child may take to end by itself, and once more when it is asked to, in ms. */
const PATIENCE = 5_000;

/**
 * Runs a server that speaks NBD on its standard input and output, such as `nbdkit -s`, and connects.
 * It ends with the connection.
 * @throws BlockError it cannot be run or does not speak NBD.
 */
export async function connectCommand(
  argv: readonly string[],
  options: ConnectOptions = {},
): Promise<NbdClient> {
  const child = await runCommand(argv);
  return child.orEnd(async () => {
    const negotiation = await begin(child, options);
    return negotiation.go(undefined, { signal: options.signal });
  });
}

/** As `connectCommand`, and stops before an export is chosen. */
export async function negotiateCommand(
  argv: readonly string[],
  options: NegotiationOptions = {},
): Promise<Negotiation> {
  const child = await runCommand(argv);
  return child.orEnd(() => begin(child, options));
}

/** A server as a child, and the connection to it. */
interface Running extends Pick<Child, 'orEnd' | 'end'> {
  readonly transport: Transport;
}

/** One socket for both directions is what can be read from and written to without a copy. */
async function runCommand(argv: readonly string[]): Promise<Running> {
  const pair = socketPair();
  if (!pair) return runPiped(argv);
  const [ours, theirs] = pair;
  try {
    const child = spawn(program(argv), argv.slice(1), { stdio: [theirs, theirs, 'inherit'] });
    await spawned(child, argv);
    return running(new Child(child, argv), SocketTransport.adopted(ours));
  } catch (error) {
    closeSync(ours);
    throw error;
  } finally {
    closeSync(theirs);
  }
}

async function runPiped(argv: readonly string[]): Promise<Running> {
  const child = spawn(program(argv), argv.slice(1), { stdio: ['pipe', 'pipe', 'inherit'] });
  await spawned(child, argv);
  return running(new Child(child, argv), new StreamTransport(child.stdout, child.stdin));
}

function running(child: Child, transport: Transport): Running {
  return { transport, end: child.end, orEnd: work => child.orEnd(work) };
}

function begin({ transport, end }: Running, options: NegotiationOptions) {
  return Negotiation.begin(transport, options, () => end(PATIENCE));
}

/** A server that was started for this client by socket activation. */
export interface ActivatedServer {
  /** The Unix socket where it listens; for more connections. */
  readonly path: string;
  /** Connects, once more each time. */
  negotiate(options?: NegotiationOptions): Promise<Negotiation>;
  /** Ends the server, by SIGKILL if it does not end soon, and removes its socket. Never rejects. */
  close(): Promise<void>;
}

/**
 * Runs a server with a listening socket as its file descriptor 3 (systemd socket activation), as
 * `qemu-nbd` and `nbdkit` take it. The caller closes it.
 * @throws BlockError it cannot be run.
 */
export async function activate(argv: readonly string[]): Promise<ActivatedServer> {
  const { path, child, close } = await activated(argv);
  return { path, negotiate: options => negotiateWith(path, child.gone, options), close };
}

async function activated(argv: readonly string[]) {
  const directory = await mkdtemp(join(tmpdir(), 'nbdpipe-'));
  const path = join(directory, 'socket');
  const child = new Child(await spawnWithListener(argv, directory, path), argv);
  const close = async () => {
    await child.end();
    await rm(directory, { recursive: true, force: true }).catch(() => {});
  };
  return { path, child, close };
}

/** Activates a server and connects to it; closing the client ends it. @throws as `activate`. */
export async function connectSystemdSocketActivation(
  argv: readonly string[],
  options: ConnectOptions = {},
): Promise<NbdClient> {
  const { path, child, close } = await activated(argv);
  try {
    const negotiation = await negotiateWith(path, child.gone, options, close);
    return await negotiation.go(undefined, { signal: options.signal });
  } catch (error) {
    await close();
    throw error;
  }
}

/** A server as a child of this program. */
class Child {
  readonly process: ChildProcess;
  /** How it ended, once it has; it may have ended before anyone asks. */
  readonly gone: Promise<string>;

  constructor(process: ChildProcess, argv: readonly string[]) {
    this.process = process;
    this.gone = endOf(process, argv);
  }

  /** @param grace how long it may take to end by itself, in ms; then it is made to. */
  readonly end = async (grace = 0): Promise<void> => {
    if (await this.#endsWithin(grace)) return;
    this.process.kill('SIGTERM');
    if (await this.#endsWithin(PATIENCE)) return;
    this.process.kill('SIGKILL');
    await this.gone;
  };

  /** What `work` gives; it fails, and the child has ended. */
  async orEnd<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      await this.end();
      throw error;
    }
  }

  async #endsWithin(ms: number): Promise<boolean> {
    const timer = new AbortController();
    const { signal } = timer;
    try {
      return await Promise.race([this.gone.then(() => true), delay(ms, false, { signal })]);
    } finally {
      timer.abort();
    }
  }
}

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
  release?: () => Promise<void>,
): Promise<Negotiation> {
  try {
    const transport = await dial({ path }, options.signal);
    void gone.then(() => transport.destroy());
    return await Negotiation.begin(transport, options, release);
  } catch (error) {
    options.signal?.throwIfAborted();
    // The connection may be reset just before the news of the server's end arrives; nobody but the
    // server has what is listening.
    const { code } = error as NodeJS.ErrnoException;
    const ms = code === 'ECONNREFUSED' ? PATIENCE : 100;
    const soon = delay(ms, messageOf(error), { ref: false });
    const reason = await Promise.race([gone, soon]);
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
