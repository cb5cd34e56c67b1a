/**
 * A server in a process of its own, whose memory can be looked at: `victim.ts SOCKET IMAGE`. Its
 * exports are `memory`, `file` and `list-N`; a message from the parent is answered with the most
 * memory that it has used, in bytes.
 */
import { readFileSync } from 'node:fs';
import process from 'node:process';
import type { DeviceSource } from '../../src/block/device.ts';
import { Server } from '../../src/server/server.ts';
import { openPlugin } from '../contract/open.ts';

const [path, image] = process.argv.slice(2);
const SIZE = 1 << 26;

const memory = await openPlugin('memory', `${SIZE}`);
const piece = Buffer.alloc(1 << 20, 'what every client wants to read');
for (let at = 0; at < SIZE; at += piece.length) await memory.write!(BigInt(at), piece);

const source: DeviceSource = {
  open: ({ exportName }) => (exportName === 'file' ? openPlugin('file', image!) : memory),
  list: () => [{ name: 'memory', description: 'x'.repeat(4000) }],
};

const server = new Server({ source });
await server.listen({ path: path! });
process.on('message', () => process.send!(peakMemory()));
process.on('disconnect', () => process.exit());
process.send!('ready');

/** Linux counts what the parent had before it became this program into maxRSS. */
function peakMemory(): number {
  if (process.platform !== 'linux') return process.resourceUsage().maxRSS * 1024;
  const status = readFileSync('/proc/self/status', 'utf8');
  return Number(/VmHWM:\s*(\d+) kB/.exec(status)![1]) * 1024;
}
