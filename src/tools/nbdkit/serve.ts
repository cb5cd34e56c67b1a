import { rmSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { messageOf } from '../../block/errors.ts';
import { formatNbdUri } from '../../protocol/uri.ts';
import { Server } from '../../server/server.ts';
import { print } from '../cli.ts';
import { configure, type Stack } from './configure.ts';
import { type Listening, listen } from './listen.ts';
import { ServerLog } from './log.ts';
import type { Settings } from './options.ts';

const SIGNALS = ['SIGINT', 'SIGQUIT', 'SIGTERM'] as const;

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
  const signal = nextSignal();
  if (settings.exitWithParent) (await import('./parent.ts')).exitWithParent();
  const log = new ServerLog(settings.log, settings.verbose);
  const source = await configure(stack, words, { ...settings, log });
  // What goes wrong beside a request must not end the service of the others.
  process.removeAllListeners('uncaughtException');
  process.on('uncaughtException', error => log.error(messageOf(error)));
  const server = new Server({
    ...settings,
    source,
    onError: message => log.error(message),
    onDebug: message => log.debug(message),
  });
  try {
    if (settings.where.kind === 'stdio') {
      const { standardStreams } = await import('./stdio.ts');
      await Promise.race([server.serve(standardStreams()), signal]);
      return 0;
    }
    const listening = await listen(server, settings.where);
    const pidFile = settings.pidFile === undefined ? undefined : resolve(settings.pidFile);
    try {
      if (settings.user !== undefined || settings.group !== undefined) {
        (await import('./privileges.ts')).dropPrivileges(settings);
      }
      if (pidFile !== undefined) writeFileSync(pidFile, `${process.pid}\n`);
      if (settings.printUri && listening.address) await print(`${uriOf(settings, listening)}\n`);
      if (reportReady) {
        process.chdir('/');
        log.leaveTerminal();
        reportReady();
      }
      return await untilTheEnd(settings, listening, signal);
    } finally {
      await server.close();
      listening.cleanUp();
      if (pidFile !== undefined) rmSync(pidFile, { force: true });
    }
  } finally {
    await server.close();
    await source.close?.();
  }
}

/** The first signal that asks to stop; the next one ends the program as signals do. */
function nextSignal(): Promise<NodeJS.Signals> {
  return new Promise(resolveSignal => {
    const stop = (signal: NodeJS.Signals) => {
      for (const each of SIGNALS) process.off(each, stop);
      resolveSignal(signal);
    };
    for (const each of SIGNALS) process.on(each, stop);
  });
}

function uriOf({ exportName }: Settings, { address }: Listening): string {
  return formatNbdUri({ address: address!, tls: false, exportName, tlsOptions: {} });
}

async function untilTheEnd(
  settings: Settings,
  listening: Listening,
  signal: Promise<NodeJS.Signals>,
): Promise<number> {
  const { run, exportName } = settings;
  if (run === undefined) {
    await signal;
    return 0;
  }
  const { runCaptive } = await import('./captive.ts');
  const uri = uriOf(settings, listening);
  const captive = runCaptive(run, uri, listening.address!, exportName);
  void signal.then(name => captive.process.kill(name));
  return captive.status;
}
