import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import type { DeviceSource } from '../../block/device.ts';
import { NBDKIT_RELEASE } from '../../declare/release.ts';
import { labelled } from '../../posix/selinux.ts';
import { formatNbdUri, type UriAddress } from '../../protocol/uri.ts';
import type { Client } from '../../server/connection.ts';
import { Server } from '../../server/server.ts';
import type { ThreadOptions } from '../../server/threads.ts';
import { compilePatiently, print, version } from '../cli.ts';
import { removePidFile, writePidFile } from '../pid-file.ts';
import { runCaptive } from './captive.ts';
import { configure, type Stack } from './configure.ts';
import { listen } from './listen.ts';
import { ServerLog } from './log.ts';
import type { Settings, Where } from './options.ts';
import { restarter } from './restart.ts';
import { serverTls } from './tls.ts';

/** Threads in all, on a machine with more processors; each takes some 15 MiB. */
const MOST_THREADS = 8;
/** How long the plugin may take to close, in ms. */
const PATIENCE = 5000;
const SIGNALS = ['SIGINT', 'SIGQUIT', 'SIGTERM', 'SIGHUP'] as const;
/** What others than the owner may not do with files that a plugin makes, as in the C nbdkit. */
const UMASK = 0o022;

/**
 * Serves until the client of -s is gone, the command of --run has ended or a signal comes; then
 * requests under way are finished and what was made for the service is removed.
 * @param reportReady tells whoever started this in the background that it serves.
 * @returns the exit status.
 */
export async function serve(
  settings: Settings,
  stack: Stack,
  words: readonly string[],
  reportReady: (() => void) | undefined,
): Promise<number> {
  const { where } = settings;
  const { signal, shutdown } = ending();
  if (settings.exitWithParent) (await import('./parent.ts')).exitWithParent();
  process.umask(UMASK);
  const log = new ServerLog(settings.log, settings.verbose);
  const trace = settings.verbose ? await tracer(settings, log) : undefined;
  const host = { ...settings, log, shutdown, restart: restarter(), trace };
  const source = await configure(stack, words, host);
  const unlock = settings.swap ? (await import('../../posix/mlock.ts')).lockProcess() : undefined;
  // What goes wrong beside a request must not end the service of the others.
  process.removeAllListeners('uncaughtException');
  process.on('uncaughtException', error => log.failure(error));
  const { name } = stack.plugin.declaration;
  const nameOf = (client: Client | undefined) => client && `${name}[${client.id}]`;
  const tls = serverTls(settings.encryption, message => log.warn(message));
  const server = new Server({
    ...settings,
    source,
    tls,
    // Threads that end and locked memory do not go together.
    helpers: settings.swap ? undefined : helpersFor(stack),
    observer: {
      error: (error, client) => log.failure(error, nameOf(client)),
      debug: (message, client) => log.debug(message, nameOf(client)),
    },
  });
  try {
    if (where.kind === 'stdio') {
      const { standardStreams } = await import('./stdio.ts');
      compilePatiently();
      await Promise.race([server.serve(standardStreams()), signal]);
      return 0;
    }
    // What clients are told is what there is, and not what was asked for.
    const mode = tls === undefined ? 'off' : tls.required ? 'require' : 'on';
    const met = { ...settings, encryption: { ...settings.encryption, mode } as const };
    return await serveListening(server, where, met, log, signal, reportReady);
  } finally {
    await server.close();
    await closeSource(source, log);
    unlock?.();
  }
}

/** With -v: a line for what each part is asked for, unless a debug flag says no. */
async function tracer({ debugFlags }: Settings, log: ServerLog) {
  const { traced } = await import('./trace.ts');
  const shown = (what: string) =>
    debugFlags.findLast(({ part, flag }) => part === 'nbdkit' && flag === `backend.${what}`)
      ?.value !== 0;
  const debug = (message: string) => log.debug(message);
  log.debug(`nbdkit ${NBDKIT_RELEASE} (nbdpipe ${version()})`);
  const options = { control: shown('controlpath'), data: shown('datapath'), debug };
  // A device that is watched stays in this thread.
  if (!options.control && !options.data) return undefined;
  return (name: string, source: DeviceSource) => traced(name, source, options);
}

/** A source that does not close is no reason to stay. */
async function closeSource(source: DeviceSource, log: ServerLog): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>(resolveLate => {
    timer = setTimeout(() => {
      log.error(`the plugin is not closed after ${PATIENCE} ms, given up`);
      resolveLate();
    }, PATIENCE);
  });
  await Promise.race([Promise.resolve(source.close?.()), late]);
  clearTimeout(timer);
}

/** Threads that know the plugin, in which busy connections go on. */
function helpersFor({ plugin }: Stack): ThreadOptions {
  const most = Math.min(availableParallelism(), MOST_THREADS) - 1;
  const start = async () => (await import('./helper.ts')).startHelper(plugin.word);
  return { most, start };
}

/** What ends the service: the first signal that asks to stop, or `shutdown`, which acts as one. */
function ending(): { signal: Promise<NodeJS.Signals>; shutdown(): void } {
  let shutdown = () => {};
  const signal = new Promise<NodeJS.Signals>(resolveSignal => {
    // The next one ends the program as signals do.
    const stop = (name: NodeJS.Signals) => {
      for (const each of SIGNALS) process.off(each, stop);
      resolveSignal(name);
    };
    for (const each of SIGNALS) process.on(each, stop);
    shutdown = () => resolveSignal('SIGTERM');
  });
  return { signal, shutdown };
}

/** As the C nbdkit has it: without the slash before a name that is not there. */
function uriOf(address: UriAddress, { exportName, encryption }: Settings): string {
  const tls = encryption.mode === 'require';
  const uri = formatNbdUri({ address, tls, exportName, tlsOptions: {} });
  return exportName === '' ? uri.replace(/^([^:]+:\/\/[^/]*)\//, '$1') : uri;
}

async function serveListening(
  server: Server,
  where: Exclude<Where, { kind: 'stdio' }>,
  settings: Settings,
  log: ServerLog,
  signal: Promise<NodeJS.Signals>,
  reportReady: (() => void) | undefined,
): Promise<number> {
  const { run, user, group } = settings;
  const listening = await labelled(settings.selinuxLabel, () => listen(server, where));
  const pidFile = settings.pidFile === undefined ? undefined : resolve(settings.pidFile);
  try {
    const uri = listening.address && uriOf(listening.address, settings);
    if (settings.printUri && uri) await print(`${uri}\n`);
    if (pidFile !== undefined) await writePidFile(pidFile);
    const captive =
      run === undefined ? undefined : runCaptive(run, uri!, listening.address!, settings);
    if (user !== undefined || group !== undefined) {
      const { dropPrivileges } = await import('./privileges.ts');
      dropPrivileges(user, group, listening.privateDirectory);
    }
    if (reportReady) {
      process.chdir('/');
      log.leaveTerminal();
      reportReady();
    }
    compilePatiently();
    if (!captive) return await signal.then(() => 0);
    void signal.then(name => captive.process.kill(name));
    return await captive.status;
  } finally {
    await server.close();
    listening.remove?.();
    if (pidFile !== undefined) removePidFile(pidFile);
  }
}
