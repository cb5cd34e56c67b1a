import type { TestContext } from 'node:test';
import { hex, join, u16, u32, u64 } from './bytes.ts';
import { IHAVEOPT, MAGIC } from './scripted-client.ts';
import { scriptedServer, type Wire } from './wire.ts';

const OPTION_REPLY = hex('0003e889045565a9');
const ACK = 1;
const UNSUPPORTED = 0x80000001;

export type Form = 'simple' | 'structured' | 'extended';

export interface Offer {
  readonly form: Form;
  readonly size?: bigint;
  readonly flags?: number;
  /** Metadata contexts by their ids. */
  readonly contexts?: Readonly<Record<number, string>>;
  /** More NBD_REP_INFO for NBD_OPT_GO. */
  readonly infos?: readonly Uint8Array[];
}

export interface Asked {
  readonly flags: number;
  readonly type: number;
  readonly cookie: bigint;
  readonly offset: bigint;
  readonly length: number;
  readonly payload: Buffer;
  /** In shared memory. */
  readonly place: number;
}

/** A server made by hand, which knows the protocol and need not keep to it. */
export class ScriptedServer {
  readonly wire: Wire;
  extended = false;
  /** Memory is shared: a place follows each request. */
  shared = false;

  constructor(wire: Wire) {
    this.wire = wire;
  }

  /** Says hello and takes the client's flags. */
  async greet(flags = 3): Promise<number> {
    this.wire.send(MAGIC, IHAVEOPT, u16(flags));
    return (await this.wire.read(4)).readUInt32BE(0);
  }

  async option(): Promise<{ option: number; data: Buffer }> {
    const header = await this.wire.read(16);
    const data = await this.wire.read(header.readUInt32BE(12));
    return { option: header.readUInt32BE(8), data };
  }

  reply(option: number, type: number, data: Uint8Array | string = '', length = data.length): void {
    this.wire.send(OPTION_REPLY, u32(option), u32(type), u32(length), data);
  }

  /** Negotiates as an honest server does, up to the transmission. */
  async negotiate({ form, size = 1n << 20n, flags = 0x1fed, contexts = {}, infos = [] }: Offer) {
    await this.greet();
    for (;;) {
      const { option } = await this.option();
      if (option === 7) break;
      if (option === 10) {
        for (const [id, name] of Object.entries(contexts)) {
          this.reply(option, 4, join(u32(Number(id)), name));
        }
      }
      const taken =
        (option === 11 && form === 'extended') ||
        (option === 8 && form === 'structured') ||
        option === 10;
      if (option === 11) this.extended = taken;
      this.reply(option, taken ? ACK : UNSUPPORTED);
    }
    this.reply(7, 3, join(u16(0), u64(size), u16(flags)));
    for (const info of infos) this.reply(7, 3, info);
    this.reply(7, ACK);
  }

  /** The next request with its payload. */
  async request(): Promise<Asked> {
    const header = await this.wire.read(this.extended ? 32 : 28);
    const flags = header.readUInt16BE(4);
    const type = header.readUInt16BE(6);
    const length = this.extended ? Number(header.readBigUInt64BE(24)) : header.readUInt32BE(24);
    const place = this.shared ? Number((await this.wire.read(8)).readBigUInt64BE(0)) : 0;
    const hasPayload = this.extended ? (flags & 32) !== 0 : type === 1;
    return {
      flags,
      type,
      cookie: header.readBigUInt64BE(8),
      offset: header.readBigUInt64BE(16),
      length,
      place,
      payload: await this.wire.read(hasPayload ? length : 0),
    };
  }

  simple({ cookie }: Asked, error = 0, ...payload: (Uint8Array | string)[]): void {
    this.wire.send(hex('67446698'), u32(error), u64(cookie), ...payload);
  }

  /** A chunk, `done` unless told otherwise; `length` when it is to lie about its payload's. */
  chunk(
    { cookie, offset }: Asked,
    type: number,
    payload: Uint8Array = Buffer.alloc(0),
    { done = true, length = payload.length }: { done?: boolean; length?: number | bigint } = {},
  ): void {
    const head = join(u16(done ? 1 : 0), u16(type), u64(cookie));
    if (this.extended) this.wire.send(hex('6e8a278c'), head, u64(offset), u64(length), payload);
    else this.wire.send(hex('668e33ef'), head, u32(Number(length)), payload);
  }
}

/** A server that negotiates honestly and then follows the script; gives the path of its socket. */
export function honestUntilRequests(
  t: TestContext,
  offer: Offer,
  script: (server: ScriptedServer) => Promise<void>,
): Promise<string> {
  return scriptedServer(t, async wire => {
    const server = new ScriptedServer(wire);
    await server.negotiate(offer);
    await script(server);
  });
}
