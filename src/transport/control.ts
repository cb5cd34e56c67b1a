import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { messageOf, UsageError } from '../block/errors.ts';
import { atExit } from '../posix/temporary.ts';

/** What can be asked for, by its small letter; the answer is sent when it is done. */
export type Commands = Readonly<Record<string, () => void | Promise<void>>>;

export interface ControlOptions {
  /** The parameter that names the path. */
  readonly key: string;
  warn(message: string): void;
}

/** Bytes of the path of a Unix socket, on Linux. */
const LONGEST_PATH = 107;

/**
 * Takes commands of one letter through a Unix socket, one after the other, and answers each with its
 * capital letter, blanks with nothing and all else with `X`. A file that is there is replaced.
 * @throws UsageError when there can be no such socket.
 */
export async function listenForCommands(
  path: string,
  { key, warn }: ControlOptions,
  commands: Commands,
): Promise<{ close(): Promise<void> }> {
  const length = Buffer.byteLength(path);
  if (length > LONGEST_PATH) {
    const words = `length ${length} > max ${LONGEST_PATH} bytes`;
    throw new UsageError(`${key} socket path too long: ${words}`);
  }
  rmSync(path, { force: true });
  const sockets = new Set<Socket>();
  const server = createServer(socket => {
    sockets.add(socket);
    socket.on('error', error => warn(`${key}: ${messageOf(error)}`));
    socket.on('close', () => sockets.delete(socket));
    void serve(socket, commands).catch(() => socket.destroy());
  });
  server.listen(path);
  try {
    await once(server, 'listening');
  } catch (error) {
    throw new UsageError(`${key}: ${messageOf(error)}`);
  }
  // Nobody lives to be told what to do.
  server.unref();
  const forget = atExit(() => rmSync(path, { force: true }));
  return {
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise(resolve => server.close(resolve));
      forget();
    },
  };
}

async function serve(socket: Socket, commands: Commands): Promise<void> {
  for await (const bytes of socket as AsyncIterable<Buffer>) {
    for (const letter of bytes.toString('latin1').replace(/[\n\t ]/g, '')) {
      const command = commands[letter];
      await command?.();
      if (!socket.write(command ? letter.toUpperCase() : 'X')) await once(socket, 'drain');
    }
  }
}
