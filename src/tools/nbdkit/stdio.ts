import { fstatSync } from 'node:fs';
import { Socket } from 'node:net';
import { SocketTransport } from '../../transport/socket.ts';
import { StreamTransport } from '../../transport/stream.ts';
import type { Transport } from '../../transport/transport.ts';

/** Standard input and output as the connection to one client: one socket, two pipes or others. */
export function standardStreams(): Transport {
  const input = fstatSync(0);
  const output = fstatSync(1);
  if (input.isSocket() && input.dev === output.dev && input.ino === output.ino) {
    return SocketTransport.adopted(0);
  }
  // Unlike process.stdout this does not block when the client is slow to read.
  const asynchronous = output.isFIFO() || output.isSocket();
  return new StreamTransport(
    process.stdin,
    asynchronous ? new Socket({ fd: 1, readable: false, writable: true }) : process.stdout,
  );
}
