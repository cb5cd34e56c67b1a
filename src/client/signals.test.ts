import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { hex, join, u32, u64 } from '../../test/peer/bytes.ts';
import {
  type Asked,
  honestUntilRequests,
  type Offer,
  ScriptedServer,
} from '../../test/peer/scripted-server.ts';
import { scriptedServer } from '../../test/peer/wire.ts';
import { BlockError } from '../block/errors.ts';
import { Reply } from '../protocol/constants.ts';
import type { NbdClient } from './client.ts';
import { connect, negotiate } from './connect.ts';

const REASON = new Error('enough');
const uriOf = (path: string) => `nbd+unix:///?socket=${path}`;

/** A client, and the server in the hands of the test from the first request on. */
async function pair(
  t: TestContext,
  offer: Offer,
): Promise<{ client: NbdClient; server: ScriptedServer }> {
  let take: (server: ScriptedServer) => void;
  const taken = new Promise<ScriptedServer>(resolve => {
    take = resolve;
  });
  const path = await honestUntilRequests(t, offer, async server => {
    take(server);
    await new Promise<void>(resolve => t.after(() => resolve()));
  });
  const client = await connect(uriOf(path));
  t.after(() => client.abort());
  return { client, server: await taken };
}

const answer = (server: ScriptedServer, asked: Asked, byte: number) =>
  server.simple(asked, 0, Buffer.alloc(asked.length, byte));

describe('the signal of an attempt to connect', () => {
  test('has no effect once it is connected', async t => {
    const giveUp = new AbortController();
    const path = await honestUntilRequests(t, { form: 'simple' }, async server => {
      for (;;) answer(server, await server.request(), 3);
    });
    const client = await connect(uriOf(path), { signal: giveUp.signal });
    t.after(() => client.abort());
    giveUp.abort(REASON);
    await new Promise(setImmediate);
    assert.deepEqual(await client.read(0n, 512), Buffer.alloc(512, 3));
    await client.close();
  });

  for (const [when, last] of [
    ['the greeting', 0],
    ['an option', 11],
    ['the choice of an export', 7],
  ] as const) {
    test(`ends it while the server is silent after ${when}`, async t => {
      const giveUp = new AbortController();
      let hungUp: Promise<unknown> | undefined;
      const path = await scriptedServer(t, async wire => {
        const server = new ScriptedServer(wire);
        await server.greet();
        for (let option = -1; last > 0 && option !== last; ) {
          option = (await server.option()).option;
          if (option !== last) server.reply(option, option === 8 ? 1 : 0x80000001);
        }
        hungUp = wire.end();
        giveUp.abort(REASON);
        await hungUp;
      });
      await assert.rejects(connect(uriOf(path), { signal: giveUp.signal }), REASON);
      await hungUp;
    });
  }

  test('that is aborted already ends it before it begins', async t => {
    const path = await scriptedServer(t, async wire => void (await wire.end()));
    await assert.rejects(connect(uriOf(path), { signal: AbortSignal.abort(REASON) }), REASON);
    await assert.rejects(negotiate({ path }, { signal: AbortSignal.abort(REASON) }), REASON);
  });
});

describe('a request that is given up', () => {
  test('before it is made is not made', async t => {
    const { client } = await pair(t, { form: 'simple' });
    const signal = AbortSignal.abort(REASON);
    for (const work of [
      client.read(0n, 512, { signal }),
      client.write!(0n, Buffer.alloc(512), { signal }),
      client.flush!({ signal }),
      client.trim!(0n, 512, { signal }),
      client.zero!(0n, 512, { signal }),
      client.cache!(0n, 512, { signal }),
    ]) {
      await assert.rejects(async () => await work, REASON);
    }
    assert.equal(client.inFlight, 0);
  });

  test('before it is sent is not sent', async t => {
    const { client, server } = await pair(t, { form: 'simple' });
    const giveUp = new AbortController();
    const { signal } = giveUp;
    const first = client.read(0n, 512);
    const given = [
      client.read(512n, 512, { signal }),
      client.write!(1024n, Buffer.alloc(512), { signal }),
    ];
    const last = client.read(4096n, 512);
    giveUp.abort(REASON);
    for (const request of given) await assert.rejects(async () => await request, REASON);
    assert.equal(client.inFlight, 2);
    for (const byte of [1, 2]) answer(server, await server.request(), byte);
    assert.deepEqual(await first, Buffer.alloc(512, 1));
    assert.deepEqual(await last, Buffer.alloc(512, 2));
  });

  test('rejects at once, and its reply is passed over when it comes', async t => {
    const { client, server } = await pair(t, { form: 'simple' });
    const giveUp = new AbortController();
    const memory = Buffer.alloc(100_000, 9);
    const read = client.read(0n, memory.length, { memory: () => memory, signal: giveUp.signal });
    const flush = client.flush!({ signal: giveUp.signal });
    const asked = [await server.request(), await server.request()];
    giveUp.abort(REASON);
    await assert.rejects(read, REASON);
    await assert.rejects(async () => await flush, REASON);
    assert.equal(client.inFlight, 2);
    const next = client.read(0n, 512);
    answer(server, asked[0]!, 1);
    server.simple(asked[1]!, 5);
    answer(server, await server.request(), 2);
    assert.deepEqual(await next, Buffer.alloc(512, 2));
    assert.equal(client.inFlight, 0);
    assert.deepEqual(memory, Buffer.alloc(100_000, 9));
    await client.close();
  });

  test('gets nothing of a later chunk, nor in a chunk that it does not wait for', async t => {
    const { client, server } = await pair(t, { form: 'structured' });
    const giveUp = new AbortController();
    const memory = Buffer.alloc(65536, 9);
    let asked = 0;
    const give = () => {
      asked += 1;
      return memory;
    };
    const read = client.read(0n, 65536, { memory: give, signal: giveUp.signal });
    const request = await server.request();
    const more = { done: false };
    const half = (at: number, byte: number) => join(u64(at), Buffer.alloc(32768, byte));
    server.chunk(request, Reply.offsetData, half(0, 1), more);
    while (asked === 0 || memory[32767] === 9) await new Promise(setImmediate);
    giveUp.abort(REASON);
    await assert.rejects(read, REASON);
    server.chunk(request, Reply.offsetData, half(32768, 2));
    const next = client.read(0n, 512);
    server.chunk(await server.request(), Reply.offsetHole, join(u64(0), u32(512)));
    await next;
    assert.deepEqual(memory, join(Buffer.alloc(32768, 1), Buffer.alloc(32768, 9)));
  });

  test('rejects no sooner than the payload that is coming into its memory', async t => {
    const { client, server } = await pair(t, { form: 'simple' });
    const giveUp = new AbortController();
    const memory = Buffer.alloc(200_000);
    const read = client.read(0n, memory.length, { memory: () => memory, signal: giveUp.signal });
    let settled = false;
    const failed = assert.rejects(read, REASON).then(() => {
      settled = true;
    });
    const { cookie } = await server.request();
    server.wire.send(hex('67446698'), u32(0), u64(cookie), Buffer.alloc(100_000, 7));
    while (memory[99_999] !== 7) await new Promise(setImmediate);
    giveUp.abort(REASON);
    await new Promise(setImmediate);
    assert.equal(settled, false);
    server.wire.send(Buffer.alloc(100_000, 7));
    await failed;
    assert.deepEqual(memory, Buffer.alloc(200_000, 7));
  });

  test('rejects when the connection is lost meanwhile', async t => {
    const { client, server } = await pair(t, { form: 'simple' });
    const giveUp = new AbortController();
    const read = client.read(0n, 200_000, { signal: giveUp.signal });
    const failed = assert.rejects(read, REASON);
    const { cookie } = await server.request();
    server.wire.send(hex('67446698'), u32(0), u64(cookie), Buffer.alloc(100_000, 7));
    await new Promise(resolve => setTimeout(resolve, 20));
    giveUp.abort(REASON);
    server.wire.hangUp();
    await failed;
  });

  test('and is a write rejects when its bytes are sent', async t => {
    const { client, server } = await pair(t, { form: 'simple', size: 1n << 24n });
    server.wire.stopReading();
    const giveUp = new AbortController();
    const bytes = Buffer.alloc(1 << 24, 5);
    let settled = false;
    const write = client.write!(0n, bytes, { signal: giveUp.signal });
    const failed = assert
      .rejects(async () => await write, REASON)
      .then(() => {
        settled = true;
      });
    await new Promise(resolve => setTimeout(resolve, 20));
    giveUp.abort(REASON);
    await new Promise(resolve => setTimeout(resolve, 20));
    assert.equal(settled, false);
    server.wire.startReading();
    const asked = await server.request();
    assert.deepEqual(asked.payload, bytes);
    await failed;
  });

  test('many at a time, by one signal, without a warning of Node', async t => {
    const warnings: unknown[] = [];
    const heard = (warning: unknown) => warnings.push(warning);
    process.on('warning', heard);
    t.after(() => process.off('warning', heard));
    const { client, server } = await pair(t, { form: 'simple' });
    const giveUp = new AbortController();
    const { signal } = giveUp;
    const answered = client.read(0n, 512, { signal });
    answer(server, await server.request(), 1);
    await answered;
    const given = Array.from({ length: 50 }, () => client.read(0n, 512, { signal }));
    const results = Promise.allSettled(given);
    await server.request();
    giveUp.abort(REASON);
    for (const result of await results) {
      assert.deepEqual(result, { status: 'rejected', reason: REASON });
    }
    await new Promise(setImmediate);
    assert.deepEqual(warnings, []);
  });

  test('before the connection is closed does not keep it open', async t => {
    const { client, server } = await pair(t, { form: 'simple' });
    const giveUp = new AbortController();
    const read = client.read(0n, 512, { signal: giveUp.signal });
    await server.request();
    giveUp.abort(REASON);
    await assert.rejects(read, REASON);
    await client.close({ timeout: 20 });
    await assert.rejects(client.read(0n, 512), BlockError);
  });
});
