import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { hex, join, u16, u32, u64 } from '../../test/peer/bytes.ts';
import {
  IHAVEOPT,
  infoRequest,
  MAGIC,
  metaRequest,
  only,
  type ScriptedClient,
  startServer,
} from '../../test/peer/scripted-client.ts';
import type { DeviceSource } from '../block/device.ts';
import { BlockError } from '../block/errors.ts';
import { Option, Rep } from '../protocol/constants.ts';
import { sparseStore } from '../stores/sparse.ts';
import type { ServerOptions } from './options.ts';

const SIZE = 1n << 20n;

/** Two exports, a and b; "" is a. */
const source: DeviceSource = {
  open: ({ exportName }) => {
    if (!['', 'a', 'b'].includes(exportName)) throw new BlockError('ENOENT', 'no such export');
    const blockSize = { minimum: 512, preferred: 4096, maximum: 65536 };
    return { ...sparseStore(SIZE), description: 'a disk', blockSize };
  },
  list: () => [{ name: 'a', description: 'first' }, { name: 'b' }],
  defaultExport: () => 'a',
};

async function dial(t: TestContext, options: Omit<ServerOptions, 'source'> = {}) {
  const { dial: connect, complaints } = await startServer(t, source, options);
  return { client: await connect(), connect, complaints };
}

/** The connection is of use: the export can be entered and read. */
async function works(client: ScriptedClient): Promise<void> {
  assert.equal((await client.go('b')).size, SIZE);
  client.request({ type: 0, length: 512 });
  assert.ok((await client.answer(512)).done);
}

describe('greetings', () => {
  test('flags are offered; unknown client flags end the connection', async t => {
    const { client, connect } = await dial(t);
    assert.equal(await client.greet(4), 3);
    assert.equal((await client.wire.end()).length, 0);
    const other = await connect();
    await other.greet(0x80000003);
    await other.wire.end();
    const good = await connect();
    await good.greet(3);
    await works(good);
  });

  test('a flag that was not offered ends the connection', async t => {
    const { client, connect } = await dial(t, { maskHandshake: 1 });
    assert.equal(await client.greet(3), 1);
    await client.wire.end();
    const good = await connect();
    await good.greet(1);
    await works(good);
  });

  for (const garbage of ['GET / HTTP/1.1\r\nHost: localhost\r\n\r\n', '\0'.repeat(100)]) {
    test(`garbage: ${JSON.stringify(garbage.slice(0, 5))}`, async t => {
      const { client, complaints } = await dial(t);
      client.wire.send(garbage);
      await client.wire.end();
      assert.equal(complaints.length, 1);
    });
  }

  test('a wrong option magic ends the connection', async t => {
    const { client } = await dial(t);
    await client.greet();
    client.wire.send(MAGIC, u32(Option.list), u32(0));
    assert.equal((await client.wire.end()).length, 0);
  });

  test('a client that hangs up anywhere disturbs no one', async t => {
    const { client, connect } = await dial(t);
    const whole = join(u32(3), IHAVEOPT, u32(7), u32(6), infoRequest(''));
    for (let length = 0; length <= whole.length; length += 3) {
      const other = await connect();
      other.wire.send(whole.subarray(0, length));
      other.wire.hangUp();
    }
    await client.greet();
    await works(client);
  });

  test('a client that leaves between two options is no error, in one it is', async t => {
    const { client, connect, complaints } = await dial(t);
    for (const bytes of [join(), u32(3)]) {
      const other = await connect();
      other.wire.send(bytes);
      other.wire.finish();
      await other.wire.end();
    }
    assert.deepEqual(complaints, []);
    client.wire.send(u32(3), IHAVEOPT);
    client.wire.finish();
    await client.wire.end();
    assert.match(`${complaints}`, /^the connection was closed$/);
  });

  test('oldstyle', async t => {
    const { client } = await dial(t, { oldstyle: true });
    const greeting = await client.wire.read(152);
    assert.deepEqual(greeting.subarray(0, 24), join(MAGIC, hex('0000420281861253'), u64(SIZE)));
    assert.equal(greeting.readUInt32BE(24) & 0xffff0001, 1);
    assert.deepEqual(greeting.subarray(28), Buffer.alloc(124));
    client.request({ type: 0, length: 512 });
    assert.deepEqual((await client.answer(512)).payload, Buffer.alloc(512));
  });
});

describe('NBD_OPT_EXPORT_NAME', () => {
  for (const flags of [0, 1, 2, 3]) {
    test(`client flags ${flags}`, async t => {
      const { client } = await dial(t);
      await client.greet(flags);
      client.option(Option.exportName, Buffer.from('b'));
      const answer = await client.wire.read(flags & 2 ? 10 : 134);
      assert.equal(answer.readBigUInt64BE(0), SIZE);
      assert.equal(answer.readUInt16BE(8) & 1, 1);
      assert.deepEqual(answer.subarray(10), Buffer.alloc(flags & 2 ? 0 : 124));
      assert.equal(await client.outcome({ type: 3 }), 0);
    });
  }

  test('an unknown export: the server can only hang up', async t => {
    const { client } = await dial(t);
    await client.greet();
    client.option(Option.exportName, Buffer.from('c'));
    assert.equal((await client.wire.end()).length, 0);
  });

  test('a name of more than 4096 bytes, or that never comes', async t => {
    const { dial: connect } = await startServer(t, only(sparseStore(SIZE)));
    const longest = await connect();
    await longest.greet();
    longest.option(Option.exportName, Buffer.alloc(4096, 0x61));
    assert.equal((await longest.wire.read(10)).readBigUInt64BE(0), SIZE);
    const client = await connect();
    await client.greet();
    client.option(Option.exportName, Buffer.alloc(4097, 0x61));
    assert.equal((await client.wire.end()).length, 0);
    const other = await connect();
    await other.greet();
    other.option(Option.exportName, Buffer.alloc(0), 0xffffffff);
    assert.equal((await other.wire.end()).length, 0);
  });

  test('not after extended headers', async t => {
    const { client } = await dial(t);
    await client.greet();
    await client.extendedHeaders();
    client.option(Option.exportName, Buffer.from('b'));
    assert.equal((await client.wire.end()).length, 0);
  });

  test('nothing else without fixed newstyle', async t => {
    const { client } = await dial(t);
    await client.greet(0);
    client.option(Option.list);
    assert.equal((await client.wire.end()).length, 0);
  });
});

describe('options that are refused leave the connection usable', () => {
  const cases: readonly (readonly [string, number, Uint8Array, number])[] = [
    ['an unknown option', 0x7fffffff, Buffer.alloc(0), Rep.errUnsup],
    ['an unknown option with data', 4, Buffer.alloc(1000), Rep.errUnsup],
    ['a list with data', Option.list, Buffer.of(0), Rep.errInvalid],
    ['structured replies with data', Option.structuredReply, Buffer.of(0), Rep.errInvalid],
    ['extended headers with data', Option.extendedHeaders, Buffer.of(0), Rep.errInvalid],
    ['TLS', Option.starttls, Buffer.alloc(0), Rep.errPolicy],
    ['info without data', Option.info, Buffer.alloc(0), Rep.errInvalid],
    ['go with a lying name length', Option.go, hex('000000ff 6162 0000'), Rep.errInvalid],
    ['go with a lying count', Option.go, hex('00000000 ffff'), Rep.errInvalid],
    ['go with bytes too many', Option.go, hex('00000000 0000 00'), Rep.errInvalid],
    ['go to an unknown export', Option.go, infoRequest('c'), Rep.errUnknown],
    ['info on an unknown export', Option.info, infoRequest('c'), Rep.errUnknown],
    ['contexts without structured replies', Option.setMetaContext, metaRequest(''), Rep.errInvalid],
    ['a list of contexts likewise', Option.listMetaContext, metaRequest(''), Rep.errInvalid],
    ['an oversized option', Option.list, Buffer.alloc(65537), Rep.errTooBig],
    ['an option of a megabyte', Option.go, Buffer.alloc(1 << 20), Rep.errTooBig],
  ];
  for (const [what, option, data, expected] of cases) {
    test(what, async t => {
      const { client } = await dial(t);
      await client.greet();
      assert.equal(await client.ask(option, data), expected);
      await works(client);
    });
  }

  const queries: readonly (readonly [string, Uint8Array, number])[] = [
    ['no data', Buffer.alloc(0), Rep.errInvalid],
    ['a query past the end', hex('00000000 00000001 00000009 78'), Rep.errInvalid],
    ['a count of 2^32-1', hex('00000000 ffffffff'), Rep.errInvalid],
    ['an unknown export', metaRequest('c', 'base:'), Rep.errUnknown],
  ];
  for (const [what, data, expected] of queries) {
    test(`contexts: ${what}`, async t => {
      const { client } = await dial(t);
      await client.greet();
      await client.structured();
      assert.equal(await client.ask(Option.listMetaContext, data), expected);
      assert.equal(await client.ask(Option.setMetaContext, data), expected);
      await works(client);
    });
  }

  test('what the server was told not to offer', async t => {
    const { client } = await dial(t, { noStructuredReplies: true });
    await client.greet();
    assert.equal(await client.ask(Option.structuredReply), Rep.errUnsup);
    assert.equal(await client.ask(Option.extendedHeaders), Rep.errUnsup);
    assert.equal(await client.ask(Option.setMetaContext, metaRequest('')), Rep.errUnsup);
    await works(client);
  });

  test('structured replies after extended headers', async t => {
    const { client } = await dial(t);
    await client.greet();
    await client.structured();
    await client.extendedHeaders();
    assert.equal(await client.ask(Option.structuredReply), Rep.errExtHeaderReqd);
    await works(client);
  });
});

describe('what options say', () => {
  test('the list of exports', async t => {
    const { client } = await dial(t);
    await client.greet();
    client.option(Option.list);
    const replies = await client.replies(Option.list);
    const data = replies.map(reply => reply.data.toString('latin1'));
    assert.deepEqual(data, ['\0\0\0\x01afirst', '\0\0\0\x01b', '']);
    await works(client);
  });

  test('NBD_OPT_INFO with every kind of information, then GO says the same', async t => {
    const { client } = await dial(t);
    await client.greet();
    const asked = infoRequest('', 3, 2, 1, 0, 0xabcd);
    client.option(Option.info, asked);
    const described = await client.replies(Option.info);
    const infos = new Map(described.slice(0, -1).map(({ data }) => [data.readUInt16BE(0), data]));
    assert.deepEqual([...infos.keys()].sort(), [0, 1, 2, 3]);
    assert.equal(infos.get(0)!.readBigUInt64BE(2), SIZE);
    assert.deepEqual(infos.get(1), hex('0001 61'));
    assert.deepEqual(infos.get(2), join(u16(2), 'a disk'));
    assert.deepEqual(infos.get(3), hex('0003 00000200 00001000 00010000'));
    client.option(Option.go, asked);
    assert.deepEqual(await client.replies(Option.go), described);
  });

  test('NBD_OPT_ABORT is answered, data and all, and ends the connection', async t => {
    const { client } = await dial(t);
    await client.greet();
    client.option(Option.abort, Buffer.from('bye'));
    assert.equal((await client.reply(Option.abort)).type, Rep.ack);
    assert.equal((await client.wire.end()).length, 0);
  });

  test('metadata contexts: lists, wildcards, unknown ones, and the last selection counts', async t => {
    const device = {
      ...sparseStore(SIZE),
      contexts: [
        { name: 'x-test:one', status: (_at: bigint, length: number) => [{ length, flags: 7 }] },
        { name: 'x-test:two', status: (_at: bigint, length: number) => [{ length, flags: 9 }] },
      ],
    };
    const { dial: connect } = await startServer(t, only(device));
    const client = await connect();
    await client.greet();
    await client.structured();
    const list = async (...words: string[]) => {
      client.option(Option.listMetaContext, metaRequest('', ...words));
      const replies = await client.replies(Option.listMetaContext);
      return replies.slice(0, -1).map(({ data }) => data.toString('utf8', 4));
    };
    assert.deepEqual(await list(), ['base:allocation', 'x-test:one', 'x-test:two']);
    assert.deepEqual(await list('x-test:'), ['x-test:one', 'x-test:two']);
    assert.deepEqual(await list('base:', 'x-test:two'), ['base:allocation', 'x-test:two']);
    assert.deepEqual(await list('y:', 'x-test', 'x-test:t', ''), []);
    assert.deepEqual([...(await client.contexts('', 'x-test:')).keys()], []);
    assert.deepEqual(new Set((await client.contexts('', 'x-test:one')).values()).size, 1);
    const ids = await client.contexts('', 'x-test:two', 'base:allocation', 'x-test:two', 'y:z');
    assert.deepEqual([...ids.keys()].sort(), ['base:allocation', 'x-test:two']);
    await client.go('');
    client.request({ type: 7, length: 4096 });
    const flags = new Map<number, number>();
    for (let done = false; !done; ) {
      const chunk = await client.answer();
      assert.equal(chunk.payload.length, 12);
      flags.set(chunk.payload.readUInt32BE(0), chunk.payload.readUInt32BE(8));
      done = chunk.done;
    }
    assert.equal(flags.size, 2);
    assert.equal(flags.get(ids.get('x-test:two')!), 9);
    assert.equal(flags.get(ids.get('base:allocation')!), 3);
  });

  test('contexts count only for the export that they were selected for', async t => {
    const { client } = await dial(t);
    await client.greet();
    await client.structured();
    await client.contexts('a', 'base:allocation');
    await client.go('b');
    assert.equal(await client.outcome({ type: 7, length: 4096 }), 22);
  });

  test('a failed selection takes the earlier one back', async t => {
    const { client } = await dial(t);
    await client.greet();
    await client.structured();
    await client.contexts('b', 'base:allocation');
    assert.equal(
      await client.ask(Option.setMetaContext, metaRequest('c', 'base:')),
      Rep.errUnknown,
    );
    await client.go('b');
    assert.equal(await client.outcome({ type: 7, length: 4096 }), 22);
  });
});

test('an export is opened once for the options about it, and closed when they are over', async t => {
  const events: string[] = [];
  const { dial: connect, server } = await startServer(t, {
    open: ({ exportName }) => {
      events.push(`open ${exportName}`);
      return { ...sparseStore(SIZE), close: () => void events.push(`close ${exportName}`) };
    },
  });
  const client = await connect();
  await client.greet();
  await client.structured();
  assert.equal(await client.ask(Option.info, infoRequest('a')), Rep.ack);
  await client.contexts('b', 'base:allocation');
  assert.equal(await client.ask(Option.info, infoRequest('b')), Rep.ack);
  await client.go('b');
  assert.deepEqual(events, ['open a', 'close a', 'open b']);
  client.request({ type: 2 });
  await client.wire.end();
  while (server.clients().length > 0) await new Promise(setImmediate);
  assert.deepEqual(events, ['open a', 'close a', 'open b', 'close b']);
  const other = await connect();
  await other.greet();
  assert.equal(await other.ask(Option.info, infoRequest('c')), Rep.ack);
  other.wire.hangUp();
  while (server.clients().length > 0) await new Promise(setImmediate);
  assert.deepEqual(events.slice(4), ['open c', 'close c']);
});

test('requests in one segment together with NBD_OPT_GO', async t => {
  const { client } = await dial(t);
  await client.greet();
  const read = client.encode({ type: 0, length: 1024, offset: 512n, cookie: 5n });
  const data = infoRequest('b');
  client.wire.send(IHAVEOPT, u32(Option.go), u32(data.length), data, read, read);
  assert.equal((await client.replies(Option.go)).at(-1)!.type, Rep.ack);
  assert.equal((await client.answer(1024)).cookie, 5n);
  assert.equal((await client.answer(1024)).payload.length, 1024);
});

test('a whole conversation one byte at a time', async t => {
  const { client } = await dial(t);
  const data = infoRequest('b');
  const written = Buffer.alloc(1024, 0x5a);
  await client.wire.drip(
    join(
      ...[u32(3), IHAVEOPT, u32(Option.structuredReply), u32(0)],
      ...[IHAVEOPT, u32(Option.go), u32(data.length), data],
      client.encode({ type: 1, offset: 512n, payload: written }),
      client.encode({ type: 0, offset: 0n, length: 2048, flags: 4 }),
      client.encode({ type: 2 }),
    ),
  );
  await client.wire.read(18);
  assert.equal((await client.reply(Option.structuredReply)).type, Rep.ack);
  assert.equal((await client.replies(Option.go)).at(-1)!.type, Rep.ack);
  assert.equal((await client.answer()).error, 0);
  const { payload } = await client.answer();
  assert.deepEqual(payload.subarray(8), join(Buffer.alloc(512), written, Buffer.alloc(512)));
  assert.equal((await client.wire.end()).length, 0);
});

test('the default export is opened by its own name, for which a source is asked once', async t => {
  const opened: string[] = [];
  let asked = 0;
  const { dial: connect } = await startServer(t, {
    open: request => {
      opened.push(request.exportName);
      return source.open(request);
    },
    defaultExport: () => {
      asked += 1;
      return 'a';
    },
  });
  const client = await connect();
  await client.greet();
  assert.equal(await client.ask(Option.list), Rep.ack);
  assert.equal(await client.ask(Option.info, infoRequest('')), Rep.ack);
  assert.equal((await client.go('')).size, SIZE);
  assert.deepEqual([opened, asked], [['a'], 1]);
});

test('a source that refuses its default export and has no list lists nothing', async t => {
  const { dial: connect } = await startServer(t, {
    open: request => source.open(request),
    list: () => undefined,
    defaultExport: () => {
      throw new Error('not today');
    },
  });
  const client = await connect();
  await client.greet();
  client.option(Option.list);
  assert.deepEqual(
    (await client.replies(Option.list)).map(({ type }) => type),
    [Rep.ack],
  );
});
