import { mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join as joinPath } from 'node:path';
import type { TestContext } from 'node:test';
import tls from 'node:tls';
import { join } from './bytes.ts';

/** A peer that says nothing for so long hangs: a test fails instead of waiting for ever. */
const HANG_MS = 10_000;

/** A folder that goes away with the test. */
export function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(joinPath(tmpdir(), 'nbdpipe-test-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** One end of a connection in the hands of a test: says what it likes and looks at the answers. */
export class Wire {
  readonly #socket: net.Socket;
  #chunks: Buffer[] = [];
  #length = 0;
  #over = false;
  #changed: () => void = () => {};

  constructor(socket: net.Socket) {
    this.#socket = socket;
    socket.on('data', bytes => {
      this.#chunks.push(bytes);
      this.#length += bytes.length;
      this.#changed();
    });
    const over = () => {
      this.#over = true;
      this.#changed();
    };
    socket.on('drain', () => this.#changed());
    socket.on('end', over);
    socket.on('close', over);
    socket.on('error', over);
  }

  static dial(path: string): Promise<Wire> {
    return new Promise((resolve, reject) => {
      const socket = net.connect(path);
      socket.once('error', reject);
      socket.once('connect', () => resolve(new Wire(socket)));
    });
  }

  /** The socket's, for what only system calls can say. */
  get descriptor(): number {
    return (this.#socket as unknown as { _handle: { fd: number } })._handle.fd;
  }

  /** Goes on in TLS, of which this is the client. What the peer has said and was not read is dropped. */
  secure(options: tls.ConnectionOptions): Promise<Wire> {
    const plain = this.#socket.removeAllListeners('data');
    const socket = tls.connect({ ...options, socket: plain });
    return new Promise((resolve, reject) => {
      socket.once('error', reject);
      socket.once('secureConnect', () => resolve(new Wire(socket)));
    });
  }

  send(...parts: readonly (Uint8Array | string)[]): void {
    this.#socket.write(join(...parts));
  }

  /** Waits until the peer's system has taken everything that was sent. */
  async sent(): Promise<void> {
    await this.#until(() => this.#socket.writableLength === 0 || this.#over);
  }

  /** Each byte by itself. */
  async drip(bytes: Uint8Array): Promise<void> {
    for (const byte of bytes) {
      this.#socket.write(Buffer.of(byte));
      await new Promise(setImmediate);
    }
  }

  /** The next `length` bytes. */
  async read(length: number): Promise<Buffer> {
    await this.#until(() => this.#length >= length || this.#over);
    if (this.#length < length) {
      throw new Error(`the peer hung up after ${this.#length} of ${length} bytes`);
    }
    const all = Buffer.concat(this.#chunks);
    this.#chunks = [all.subarray(length)];
    this.#length -= length;
    return all.subarray(0, length);
  }

  /** Waits until the peer hangs up; gives what it still said. */
  async end(): Promise<Buffer> {
    await this.#until(() => this.#over);
    return Buffer.concat(this.#chunks);
  }

  /** Reads nothing from now on. */
  stopReading(): void {
    this.#socket.pause();
  }

  /** Reads again. */
  startReading(): void {
    this.#socket.resume();
  }

  /** Says that nothing more will come. */
  finish(): void {
    this.#socket.end();
  }

  hangUp(): void {
    this.#socket.destroy();
  }

  async #until(good: () => boolean): Promise<void> {
    const deadline = Date.now() + HANG_MS;
    while (!good()) {
      const left = deadline - Date.now();
      if (left <= 0) throw new Error(`the peer hangs after ${this.#length} bytes`);
      let timer: NodeJS.Timeout | undefined;
      await new Promise<void>(resolve => {
        this.#changed = resolve;
        timer = setTimeout(resolve, left);
      });
      clearTimeout(timer);
    }
  }
}

/** A server that follows a script with each client; gives the path of its socket. */
export async function scriptedServer(
  t: TestContext,
  script: (wire: Wire) => Promise<void>,
): Promise<string> {
  const path = joinPath(temporaryFolder(t), 'socket');
  const sockets = new Set<net.Socket>();
  const server = net.createServer(socket => {
    sockets.add(socket);
    // A script is cut short when the client hangs up on it, which is often the point.
    script(new Wire(socket)).catch(() => socket.destroy());
  });
  await new Promise<void>(resolve => server.listen(path, resolve));
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return path;
}
