import { existsSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';

/** In the list of the kernel's Unix sockets: takes connections. A path alone is there too early. */
const ACCEPTS = '00010000';

/**
 * Whether somebody listens on a Unix socket, looked up without connecting to it. The kernel knows it by
 * the name that it was bound to, which ours only have until they listen; the folder is a test's own.
 */
export function isListening(path: string): boolean {
  if (process.platform !== 'linux') return existsSync(path);
  if (!existsSync(path)) return false;
  return readFileSync('/proc/net/unix', 'latin1')
    .split('\n')
    .map(line => line.trim().split(/\s+/))
    .some(fields => fields[3] === ACCEPTS && dirname(fields[7] ?? '') === dirname(path));
}
