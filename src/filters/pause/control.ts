import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { messageOf, UsageError } from '../../block/errors.ts';
import { atExit } from '../../posix/temporary.ts';

/** What can be asked for; the answer is sent when it is done. */
export interface Commands {
  pause(): Promise<void>;
  resume(): Promise<void>;
}

/** Bytes of the path of a Unix socket, on Linux. */
const LONGEST_PATH = 107;

/**
 * Takes commands of one byte through a Unix socket, one after the other: `p` and `r` are answered
 * with `P` and `R`, blanks with nothing and all else with `X`.
 * @throws UsageError when there can be no such socket.
 */
export async function listenForCommands(
  path: string,
  warn: (message: string) => void,
  commands: Commands,
): Promise<{ close(): Promise<void> }> {
  const length = Buffer.byteLength(path);
  if (length > LONGEST_PATH) {
    const words = `length ${length} > max ${LONGEST_PATH} bytes`;
    throw new UsageError(`pause-control socket path too long: ${words}`);
  }
  rmSync(path, { force: true });
  const sockets = new Set<Socket>();
  const server = createServer(socket => {
    sockets.add(socket);
    socket.on('error', error => warn(`pause-control: ${messageOf(error)}`));
    socket.on('close', () => sockets.delete(socket));
    void serve(socket, commands).catch(() => socket.destroy());
  });
  server.listen(path);
  try {
    await once(server, 'listening');
  } catch (error) {
    throw new UsageError(`pause-control: ${messageOf(error)}`);
  }
  const forget = atExit(() => rmSync(path, { force: true }));
  return {
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise(resolve => server.close(resolve));
      forget();
    },
  };
}

async function serve(socket: Socket, { pause, resume }: Commands): Promise<void> {
  for await (const bytes of socket as AsyncIterable<Buffer>) {
    for (const letter of bytes.toString('latin1').replace(/[\n\t ]/g, '')) {
      if (letter === 'p') await pause();
      else if (letter === 'r') await resume();
      socket.write(letter === 'p' || letter === 'r' ? letter.toUpperCase() : 'X');
    }
  }
}
