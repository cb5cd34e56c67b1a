import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { hex, join, u16, u32, u64 } from '../../test/peer/bytes.ts';
import { IHAVEOPT, MAGIC } from '../../test/peer/scripted-client.ts';
import { ScriptedServer } from '../../test/peer/scripted-server.ts';
import { scriptedServer, type Wire } from '../../test/peer/wire.ts';
import { BlockError } from '../block/errors.ts';
import { ProtocolError } from '../protocol/errors.ts';
import { connect, negotiate } from './connect.ts';
import { OptionError } from './refusal.ts';

const uriOf = (path: string) => `nbd+unix:///?socket=${path}`;
const SIZE = u64(1 << 20);
const EXPORT = join(u16(0), SIZE, u16(0x0141));

/** The client fails with this error, and hangs up. */
async function fails(
  t: TestContext,
  script: (server: ScriptedServer) => Promise<void>,
  check: (error: BlockError) => boolean,
): Promise<void> {
  let hungUp: Promise<unknown> | undefined;
  const path = await scriptedServer(t, async wire => {
    hungUp = script(new ScriptedServer(wire)).then(() => wire.end());
    await hungUp;
  });
  await assert.rejects(connect(uriOf(path)), (error: unknown) => {
    assert.ok(error instanceof BlockError, String(error));
    return check(error);
  });
  await hungUp?.catch(() => {});
}

const isProtocolError = (error: BlockError) => error instanceof ProtocolError;
const isLost = (error: BlockError) => ['ECONNRESET', 'ENOENT'].includes(error.errno);

describe('a server that is none', () => {
  const greetings = {
    HTTP: Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'),
    SSH: Buffer.from('SSH-2.0-OpenSSH_9.2p1 Debian\r\n'),
    'the wrong second magic': join(MAGIC, MAGIC, u16(3)),
    zeroes: Buffer.alloc(18),
  };
  for (const [what, bytes] of Object.entries(greetings)) {
    test(what, t => fails(t, async ({ wire }) => wire.send(bytes), isProtocolError));
  }

  test('a greeting that stops', async t => {
    const path = await scriptedServer(t, async wire => {
      wire.send(MAGIC, IHAVEOPT);
      wire.finish();
    });
    const lost = (error: unknown) => error instanceof BlockError && error.errno === 'ECONNRESET';
    await assert.rejects(connect(uriOf(path)), lost);
  });
});

/** An honest handshake, step by step; the server hangs up after so many of them. */
async function handshakeSteps(wire: Wire, steps: number): Promise<void> {
  const server = new ScriptedServer(wire);
  const all: (() => Promise<void> | void)[] = [
    () => wire.send(MAGIC),
    () => wire.send(IHAVEOPT),
    () => wire.send(u16(3)),
    async () => void (await wire.read(4)),
    async () => void (await server.option()),
    () => server.reply(8, 1),
    async () => void (await server.option()),
    () => server.reply(11, 0x80000001, 'no'),
    async () => void (await server.option()),
    () => server.reply(10, 4, join(u32(1), 'base:allocation')),
    () => wire.send(hex('0003e889045565a9'), u32(10), u32(1)),
    () => wire.send(u32(0)),
    async () => void (await server.option()),
    () => server.reply(7, 3, EXPORT),
    () => wire.send(hex('0003e889045565a9'), u32(7), u32(3), u32(14), u16(3)),
    () => wire.send(u32(1), u32(4096), u32(1 << 25)),
    () => server.reply(7, 1),
  ];
  for (const step of all.slice(0, steps)) await step();
}

describe('a server that hangs up', () => {
  for (let steps = 0; steps <= 16; steps++) {
    test(`after step ${steps} of the handshake`, async t => {
      for (const way of ['finish', 'hangUp'] as const) {
        const path = await scriptedServer(t, async wire => {
          await handshakeSteps(wire, steps);
          wire[way]();
        });
        await assert.rejects(connect(uriOf(path)), (error: unknown) => {
          return error instanceof BlockError && isLost(error);
        });
      }
    });
  }

  test('right after the handshake', async t => {
    const path = await scriptedServer(t, async wire => {
      await handshakeSteps(wire, 17);
      wire.finish();
    });
    const client = await connect(uriOf(path));
    await assert.rejects(client.read(0n, 512), (error: unknown) => {
      return error instanceof BlockError && error.errno === 'ECONNRESET';
    });
    await client.close();
  });
});

describe('option replies that lie', () => {
  /** Refuses all options before this one, then follows the script. */
  const upTo =
    (wanted: number, script: (server: ScriptedServer) => void) =>
    async (server: ScriptedServer) => {
      await server.greet();
      for (;;) {
        const { option } = await server.option();
        if (option === wanted) break;
        server.reply(option, option === 8 && wanted === 10 ? 1 : 0x80000001);
      }
      script(server);
    };

  const cases: Readonly<Record<string, [number, (server: ScriptedServer) => void]>> = {
    'a wrong magic': [11, ({ wire }) => wire.send(IHAVEOPT, u32(11), u32(1), u32(0))],
    'the answer to another option': [11, server => server.reply(8, 1)],
    'a reply of 4 GiB': [11, server => server.reply(11, 1, '', 0xffffffff)],
    'an error of a megabyte': [8, server => server.reply(8, 0x80000001, Buffer.alloc(1 << 20))],
    'an export without its size': [7, server => server.reply(7, 1)],
    'a short export': [7, server => server.reply(7, 3, EXPORT.subarray(0, 11))],
    'a long export': [7, server => server.reply(7, 3, join(EXPORT, Buffer.of(0)))],
    'information without a type': [7, server => server.reply(7, 3, Buffer.of(0))],
    'a minimum block of 3': [7, server => server.reply(7, 3, sizes(3, 4096, 65536))],
    'a minimum block of 0': [7, server => server.reply(7, 3, sizes(0, 4096, 65536))],
    'a preferred block of 1000': [7, server => server.reply(7, 3, sizes(1, 1000, 65536))],
    'a maximum below the preferred': [7, server => server.reply(7, 3, sizes(1, 4096, 512))],
    'a context without an id': [10, server => server.reply(10, 4, Buffer.of(0, 0, 1))],
    'two contexts with one id': [
      10,
      server => {
        server.reply(10, 4, join(u32(1), 'base:allocation'));
        server.reply(10, 4, join(u32(1), 'x:y'));
      },
    ],
    'two contexts with one name': [
      10,
      server => {
        server.reply(10, 4, join(u32(1), 'base:allocation'));
        server.reply(10, 4, join(u32(2), 'base:allocation'));
        server.reply(10, 1);
      },
    ],
    'an absurd size': [
      7,
      server => {
        server.reply(7, 3, join(u16(0), u64(2n ** 63n), u16(1)));
        server.reply(7, 1);
      },
    ],
  };
  for (const [what, [option, script]] of Object.entries(cases)) {
    test(what, t => fails(t, upTo(option, script), isProtocolError));
  }

  const sizes = (...values: number[]) => join(u16(3), ...values.map(u32));

  test('a refusal has its words and its errno', async t => {
    const refuse = (server: ScriptedServer) => server.reply(7, 0x80000006, 'no disk for you');
    await fails(t, upTo(7, refuse), error => {
      assert.ok(error instanceof OptionError);
      assert.match(error.message, /no disk for you/);
      return error.errno === 'ENOENT';
    });
  });

  test('an absurd size in NBD_OPT_EXPORT_NAME and in an oldstyle greeting', async t => {
    const size = u64(2n ** 64n - 1n);
    const byName = async (server: ScriptedServer) => {
      await server.greet(2);
      await server.option();
      server.wire.send(size, u16(1));
    };
    await fails(t, byName, isProtocolError);
    const oldstyle = join(MAGIC, hex('0000420281861253'), size, u32(1), Buffer.alloc(124));
    await fails(t, async ({ wire }) => wire.send(oldstyle), isProtocolError);
  });

  test('a list of exports without end', async t => {
    const path = await scriptedServer(t, async wire => {
      const server = new ScriptedServer(wire);
      await upTo(3, () => {})(server);
      const one = join(hex('0003e889045565a9'), u32(3), u32(2), u32(8196), u32(4));
      const entry = join(one, 'name', Buffer.alloc(8188, 0x61));
      const many = Buffer.concat(Array<Buffer>(128).fill(entry));
      for (let count = 0; count < 1000; count++) {
        wire.send(many);
        await new Promise(setImmediate);
      }
    });
    const negotiation = await negotiate({ path });
    await assert.rejects(negotiation.list(), ProtocolError);
  });

  test('information that nobody has heard of is passed over', async t => {
    const path = await scriptedServer(t, async wire => {
      const server = new ScriptedServer(wire);
      await server.negotiate({ form: 'simple', infos: [hex('7777 0102030405'), hex('ffff')] });
      await server.request();
    });
    const client = await connect(uriOf(path));
    assert.equal(client.size, 1n << 20n);
    client.abort();
  });
});

test('extended headers without NBD_OPT_GO: there is no way on', async t => {
  const script = async (server: ScriptedServer) => {
    await server.greet();
    for (;;) {
      const { option } = await server.option();
      server.reply(option, option === 11 ? 1 : 0x80000001);
      if (option === 7) break;
    }
  };
  await fails(t, script, isProtocolError);
});

test('plain newstyle: the name, then size and flags with or without zeroes', async t => {
  for (const flags of [0, 1, 2, 3]) {
    const path = await scriptedServer(t, async wire => {
      const server = new ScriptedServer(wire);
      assert.equal(await server.greet(flags), flags);
      for (;;) {
        const { option, data } = await server.option();
        if (option === 1) {
          assert.equal(data.toString(), 'ü');
          break;
        }
        server.reply(option, 0x80000001);
      }
      wire.send(SIZE, u16(0x101), Buffer.alloc(flags & 2 ? 0 : 124));
      const asked = await server.request();
      server.simple(asked, 0, Buffer.alloc(asked.length, 3));
    });
    const client = await connect(uriOf(path), { exportName: 'ü' });
    assert.equal(client.multiConn, true);
    assert.deepEqual(await client.read(0n, 512), Buffer.alloc(512, 3));
    client.abort();
  }
});

test('a handshake in single bytes', async t => {
  const path = await scriptedServer(t, async wire => {
    await wire.drip(join(MAGIC, IHAVEOPT, u16(2)));
    await wire.read(4 + 16);
    await wire.drip(join(SIZE, u16(1)));
    const server = new ScriptedServer(wire);
    const { cookie } = await server.request();
    await wire.drip(join(hex('67446698'), u32(0), u64(cookie), Buffer.alloc(32, 9)));
  });
  const client = await connect(uriOf(path));
  assert.deepEqual(await client.read(0n, 32), Buffer.alloc(32, 9));
  client.abort();
});

test('giving up: the signal ends an attempt at a server that says nothing', async t => {
  const path = await scriptedServer(t, async wire => void (await wire.end()));
  const giveUp = new AbortController();
  const attempt = connect(uriOf(path), { signal: giveUp.signal });
  setTimeout(() => giveUp.abort(new Error('enough')), 20);
  await assert.rejects(attempt, /enough/);
});

test('options that can go together are sent at once, and any of them may be refused', async t => {
  for (const refused of [0, 8, 10, 11]) {
    const path = await scriptedServer(t, async wire => {
      const server = new ScriptedServer(wire);
      await server.greet();
      const answer = (option: number) => server.reply(option, option === refused ? 0x80000001 : 1);
      const options = [(await server.option()).option, (await server.option()).option];
      assert.deepEqual(options, [8, 11]);
      for (const option of options) answer(option);
      assert.equal((await server.option()).option, 10);
      assert.equal((await server.option()).option, 7);
      if (refused !== 10) server.reply(10, 4, join(u32(1), 'base:allocation'));
      answer(10);
      server.reply(7, 3, EXPORT);
      server.reply(7, 1);
      await wire.end();
    });
    const client = await connect(uriOf(path));
    assert.equal(client.size, 1n << 20n);
    const { structured, extended, contexts } = client.agreement;
    assert.deepEqual([structured, extended], [true, refused !== 11]);
    assert.equal(contexts.size, refused === 10 ? 0 : 1);
    client.abort();
  }
});
