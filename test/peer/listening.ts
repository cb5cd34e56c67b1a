import { existsSync, readFileSync } from 'node:fs';

/** In the list of the kernel's Unix sockets: takes connections. A path alone is there too early. */
const ACCEPTS = '00010000';

/** Whether somebody listens on a Unix socket, looked up without connecting to it. */
export function isListening(path: string): boolean {
  if (process.platform !== 'linux') return existsSync(path);
  return readFileSync('/proc/net/unix', 'latin1')
    .split('\n')
    .map(line => line.trim().split(/\s+/))
    .some(fields => fields[3] === ACCEPTS && fields[7] === path);
}
