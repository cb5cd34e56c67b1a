import assert from 'node:assert/strict';
import { join as joinPath } from 'node:path';
import type { TestContext } from 'node:test';
import type { BlockDevice, DeviceSource } from '../../src/block/device.ts';
import { messageOf } from '../../src/block/errors.ts';
import type { ServerOptions } from '../../src/server/options.ts';
import { Server } from '../../src/server/server.ts';
import { hex, join, u16, u32, u64 } from './bytes.ts';
import { temporaryFolder, Wire } from './wire.ts';

export const MAGIC = hex('4e42444d41474943');
export const IHAVEOPT = hex('49484156454f5054');
const OPTION_REPLY = hex('0003e889045565a9');
const ACK = 1;

export interface OptionReply {
  readonly type: number;
  readonly data: Buffer;
}

export interface Ask {
  readonly type: number;
  readonly flags?: number;
  readonly cookie?: bigint;
  readonly offset?: bigint;
  readonly length?: bigint | number;
  readonly payload?: Uint8Array;
  /** In shared memory. */
  readonly place?: number | bigint;
}

export interface Chunk {
  readonly kind: 'simple' | 'structured' | 'extended';
  /** Of a simple reply or an error chunk. */
  readonly error: number;
  readonly done: boolean;
  readonly type: number;
  readonly cookie: bigint;
  readonly payload: Buffer;
}

/** A client made by hand, which knows the protocol and need not keep to it. */
export class ScriptedClient {
  readonly wire: Wire;
  extended = false;
  /** Memory is shared: a place follows each request. */
  shared = false;

  constructor(wire: Wire) {
    this.wire = wire;
  }

  /** Takes the newstyle greeting and answers with these flags; gives the server's. */
  async greet(flags = 3): Promise<number> {
    const greeting = await this.wire.read(18);
    assert.deepEqual(greeting.subarray(0, 16), join(MAGIC, IHAVEOPT));
    this.wire.send(u32(flags));
    return greeting.readUInt16BE(16);
  }

  option(option: number, data: Uint8Array = Buffer.alloc(0), length = data.length): void {
    this.wire.send(IHAVEOPT, u32(option), u32(length), data);
  }

  async reply(option: number): Promise<OptionReply> {
    const header = await this.wire.read(20);
    assert.deepEqual(header.subarray(0, 12), join(OPTION_REPLY, u32(option)));
    const data = await this.wire.read(header.readUInt32BE(16));
    return { type: header.readUInt32BE(12), data };
  }

  /** All replies up to the last one, which is an ACK or an error. */
  async replies(option: number): Promise<OptionReply[]> {
    const replies: OptionReply[] = [];
    for (;;) {
      const reply = await this.reply(option);
      replies.push(reply);
      if (reply.type === ACK || reply.type >= 0x80000000) return replies;
    }
  }

  /** Sends an option and gives the type of its last reply. */
  async ask(option: number, data?: Uint8Array): Promise<number> {
    this.option(option, data);
    return (await this.replies(option)).at(-1)!.type;
  }

  async structured(): Promise<void> {
    assert.equal(await this.ask(8), ACK);
  }

  async extendedHeaders(): Promise<void> {
    assert.equal(await this.ask(11), ACK);
    this.extended = true;
  }

  async contexts(name: string, ...queries: string[]): Promise<Map<string, number>> {
    this.option(10, metaRequest(name, ...queries));
    const replies = await this.replies(10);
    assert.equal(replies.at(-1)!.type, ACK);
    return new Map(
      replies.slice(0, -1).map(({ data }) => [data.toString('utf8', 4), data.readUInt32BE(0)]),
    );
  }

  /** NBD_OPT_GO; gives the size and the transmission flags. */
  async go(name = ''): Promise<{ size: bigint; flags: number }> {
    this.option(7, infoRequest(name));
    const replies = await this.replies(7);
    assert.equal(replies.at(-1)!.type, ACK, replies.at(-1)!.data.toString());
    const info = replies[0]!.data;
    assert.equal(info.readUInt16BE(0), 0);
    return { size: info.readBigUInt64BE(2), flags: info.readUInt16BE(10) };
  }

  request(ask: Ask): void {
    this.wire.send(this.encode(ask));
  }

  encode({ type, flags = 0, cookie = 1n, offset = 0n, length, payload, place = 0 }: Ask): Buffer {
    const size = length ?? payload?.length ?? 0;
    const magic = this.extended ? hex('21e41c71') : hex('25609513');
    const lengthBytes = this.extended ? u64(size) : u32(Number(size));
    const head = join(magic, u16(flags), u16(type), u64(cookie), u64(offset), lengthBytes);
    return join(head, this.shared ? u64(place) : '', payload ?? Buffer.alloc(0));
  }

  /** The next reply. `readLength`: what a successful simple reply carries. */
  async answer(readLength = 0): Promise<Chunk> {
    const magic = (await this.wire.read(4)).toString('hex');
    if (magic === '67446698') {
      const rest = await this.wire.read(12);
      const error = rest.readUInt32BE(0);
      const payload = await this.wire.read(error === 0 ? readLength : 0);
      const cookie = rest.readBigUInt64BE(4);
      return { kind: 'simple', error, done: true, type: 0, cookie, payload };
    }
    assert.equal(magic, this.extended ? '6e8a278c' : '668e33ef');
    const rest = await this.wire.read(this.extended ? 28 : 16);
    const length = this.extended ? Number(rest.readBigUInt64BE(20)) : rest.readUInt32BE(12);
    const payload = await this.wire.read(length);
    const type = rest.readUInt16BE(2);
    return {
      kind: this.extended ? 'extended' : 'structured',
      error: type >= 0x8000 ? payload.readUInt32BE(0) : 0,
      done: (rest.readUInt16BE(0) & 1) !== 0,
      type,
      cookie: rest.readBigUInt64BE(4),
      payload,
    };
  }

  /** The error number of a request without data in its answer; 0 is success. */
  async outcome(ask: Ask): Promise<number> {
    this.request(ask);
    const chunk = await this.answer();
    assert.equal(chunk.cookie, ask.cookie ?? 1n);
    assert.ok(chunk.done);
    return chunk.error;
  }
}

export function infoRequest(name: string, ...infos: number[]): Buffer {
  const text = Buffer.from(name);
  return join(u32(text.length), text, u16(infos.length), ...infos.map(u16));
}

export function metaRequest(name: string, ...queries: string[]): Buffer {
  const texts = [name, ...queries].map(text => join(u32(Buffer.byteLength(text)), text));
  return join(texts[0]!, u32(queries.length), ...texts.slice(1));
}

/** A source of one device for every export name. */
export function only(device: BlockDevice): DeviceSource {
  return { open: () => device };
}

export interface TestServer {
  readonly server: Server;
  readonly path: string;
  /** What it has complained of. */
  readonly complaints: string[];
  /** One more connection. */
  dial(): Promise<ScriptedClient>;
}

/** A server on a socket of its own, which ends with the test. */
export async function startServer(
  t: TestContext,
  source: DeviceSource,
  options: Omit<ServerOptions, 'source'> = {},
): Promise<TestServer> {
  const path = joinPath(temporaryFolder(t), 'socket');
  const complaints: string[] = [];
  const server = new Server({
    source,
    observer: { error: error => complaints.push(messageOf(error)) },
    ...options,
  });
  await server.listen({ path });
  const wires: Wire[] = [];
  t.after(async () => {
    for (const wire of wires) wire.hangUp();
    await server.close();
  });
  const dial = async () => {
    const wire = await Wire.dial(path);
    wires.push(wire);
    return new ScriptedClient(wire);
  };
  return { server, path, complaints, dial };
}
