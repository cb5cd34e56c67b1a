import { type ChildProcess, spawn } from 'node:child_process';
import { constants } from 'node:os';
import { shellWord } from '../../posix/shell.ts';
import type { UriAddress } from '../../protocol/uri.ts';
import type { Settings } from './options.ts';

/** A command that runs for as long as the server does. */
export interface Captive {
  readonly process: ChildProcess;
  /** Its exit status, as a shell would tell it. */
  readonly status: Promise<number>;
}

/** Runs a command by the shell, with variables that say how to reach the server. */
export function runCaptive(
  command: string,
  uri: string,
  address: UriAddress,
  { exportName, encryption }: Pick<Settings, 'exportName' | 'encryption'>,
): Captive {
  const variables = {
    uri,
    nbd: uri,
    tls: { off: '', on: '1', require: '2' }[encryption.mode ?? 'off'],
    port: 'port' in address ? String(address.port) : '',
    unixsocket: 'path' in address ? address.path : '',
    exportname: exportName,
  };
  const assignments = Object.entries(variables).map(
    ([name, value]) => `${name}=${shellWord(value)}\n`,
  );
  const child = spawn('/bin/sh', ['-c', assignments.join('') + command], { stdio: 'inherit' });
  const status = new Promise<number>((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (code, signal) => {
      if (signal === null) return resolve(code ?? 1);
      const number = constants.signals[signal];
      // Unless the signal came to us, and went on from here.
      if (!child.killed) {
        process.stderr.write(`nbdkit: external command was killed by signal ${number}\n`);
      }
      resolve(128 + number);
    });
  });
  return { process: child, status };
}
