import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import net from 'node:net';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import type tls from 'node:tls';
import { u32, u64 } from '../../test/peer/bytes.ts';
import {
  IHAVEOPT,
  infoRequest,
  ScriptedClient,
  startServer,
} from '../../test/peer/scripted-client.ts';
import { hasMemfd, share, testMemory } from '../../test/peer/shared-memory.ts';
import { temporaryFolder, Wire } from '../../test/peer/wire.ts';
import { contiguous } from '../block/data.ts';
import type { DeviceSource, ListRequest } from '../block/device.ts';
import { messageOf } from '../block/errors.ts';
import { negotiate } from '../client/connect.ts';
import { Option, Rep } from '../protocol/constants.ts';
import { sparseStore } from '../stores/sparse.ts';
import type { Credentials } from '../transport/credentials.ts';

const KEY = randomBytes(32);
const psk = (user: string, key: Buffer = KEY): Credentials => ({ psk: new Map([[user, key]]) });
const OURS = { credentials: psk('alice'), username: 'alice' };
/** The same for Node's own client; the cipher is of TLS 1.2, that of 1.3 is agreed on by itself. */
const NODES: tls.ConnectionOptions = {
  ciphers: 'TLS_AES_128_GCM_SHA256:ECDHE-PSK-CHACHA20-POLY1305',
  pskCallback: () => ({ psk: KEY, identity: 'alice' }),
  checkServerIdentity: () => undefined,
};

async function start(t: TestContext, required = false) {
  const asked: ListRequest[] = [];
  const source: DeviceSource = {
    open: request => {
      asked.push(request);
      return sparseStore(1n << 26n);
    },
    list: () => [{ name: 'a' }],
  };
  const server = await startServer(t, source, { tls: { credentials: psk('alice'), required } });
  const dial = async () => {
    const client = await server.dial();
    await client.greet();
    return client;
  };
  return { ...server, asked, dial };
}

/** Agrees on TLS and begins it. */
async function encrypted(client: ScriptedClient, options: tls.ConnectionOptions = {}) {
  assert.equal(await client.ask(Option.starttls), Rep.ack);
  return new ScriptedClient(await client.wire.secure({ ...NODES, ...options }));
}

/** A socket that passes everything on, and hears what the server says. */
async function tap(t: TestContext, path: string): Promise<{ path: string; heard(): Buffer }> {
  const chunks: Buffer[] = [];
  const tapped = join(temporaryFolder(t), 'socket');
  const listener = net.createServer(client => {
    const server = net.connect(path);
    server.on('data', bytes => chunks.push(bytes));
    server.pipe(client).pipe(server);
  });
  await new Promise<void>(resolve => listener.listen(tapped, resolve));
  t.after(() => listener.close());
  return { path: tapped, heard: () => Buffer.concat(chunks) };
}

/** Waits for the server to say what went wrong. */
async function complaint(complaints: readonly string[]): Promise<string> {
  const deadline = Date.now() + 10_000;
  while (complaints.length === 0 && Date.now() < deadline) await new Promise(setImmediate);
  return complaints.join('\n');
}

async function stillServes(path: string): Promise<void> {
  const client = await (await negotiate({ path }, { tls: OURS })).go('');
  assert.equal(contiguous(await client.read(0n, 512)).length, 512);
  await client.close();
}

describe('an encrypted connection', () => {
  test('shares no memory, not even what was shared before', { skip: !hasMemfd() }, async t => {
    const { dial } = await start(t);
    const plain = await dial();
    await plain.structured();
    assert.equal((await share(plain, [testMemory(t, 1 << 16).fd], 1 << 16)).type, Rep.ack);
    const client = await encrypted(plain);
    await client.structured();
    assert.equal(await client.ask(Option.sharedMemory, u64(1 << 16)), Rep.errPlatform);
    await client.go();
    assert.equal(await client.outcome({ type: 3 }), 0);
  });

  test('carries what a plain one does', async t => {
    const { path, asked, complaints } = await start(t, true);
    const client = await (await negotiate({ path }, { tls: OURS })).go('a');
    const bytes = randomBytes(3 << 20);
    await client.write!(12345n, bytes);
    assert.deepEqual(contiguous(await client.read(12345n, bytes.length)), bytes);
    await client.close();
    assert.deepEqual([asked[0]!.tls, asked[0]!.peer.family], [true, 'unix']);
    assert.deepEqual(complaints, []);
  });

  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    test(version, async t => {
      const { dial } = await start(t);
      const client = await encrypted(await dial(), { minVersion: version, maxVersion: version });
      await client.go();
      client.request({ type: 0, length: 4096 });
      assert.equal((await client.answer(4096)).payload.length, 4096);
    });
  }

  test('ends with a close_notify', async t => {
    const { path } = await start(t);
    const { path: tapped, heard } = await tap(t, path);
    const wire = await Wire.dial(tapped);
    const plain = new ScriptedClient(wire);
    await plain.greet();
    // Types of records can be seen from outside in this version.
    const client = await encrypted(plain, { maxVersion: 'TLSv1.2' });
    await client.go();
    client.request({ type: 2 });
    await client.wire.end();
    const bytes = heard();
    let at = bytes.indexOf('160303', 0, 'hex');
    let last = 0;
    for (; at < bytes.length; at += 5 + bytes.readUInt16BE(at + 3)) last = bytes[at]!;
    assert.equal(last, 0x15);
  });

  test('knows nothing of what was agreed before', async t => {
    const { dial } = await start(t);
    const plain = await dial();
    await plain.structured();
    await plain.contexts('', 'base:allocation');
    const client = await encrypted(plain);
    await client.go();
    client.request({ type: 0, length: 512 });
    assert.equal((await client.answer(512)).kind, 'simple');
    client.request({ type: 7, length: 512 });
    assert.equal((await client.answer()).error, 22);
  });

  test('is not encrypted again', async t => {
    const { dial } = await start(t);
    const client = await encrypted(await dial());
    assert.equal(await client.ask(Option.starttls), Rep.errInvalid);
    await client.go();
  });
});

test('where TLS is required, only STARTTLS and ABORT are answered before it', async t => {
  const { dial, complaints } = await start(t, true);
  const client = await dial();
  const refused = { ...Option, starttls: undefined, abort: undefined, exportName: undefined };
  for (const option of Object.values(refused)) {
    if (option === undefined) continue;
    assert.equal(await client.ask(option, infoRequest('')), Rep.errTlsReqd, `option ${option}`);
  }
  assert.equal(await client.ask(Option.starttls, Buffer.of(1)), Rep.errInvalid);
  await (await encrypted(client)).go();
  const leaver = await dial();
  assert.equal(await leaver.ask(Option.abort), Rep.ack);
  const old = await dial();
  old.option(Option.exportName);
  assert.equal((await old.wire.end()).length, 0);
  assert.match(await complaint(complaints), /^the client does not use TLS$/);
});

describe('refused, and others are served', () => {
  test('plain text in the same packet as STARTTLS', async t => {
    const { dial, path, complaints } = await start(t);
    const client = await dial();
    const starttls = [IHAVEOPT, u32(Option.starttls), u32(0)];
    client.wire.send(...starttls, IHAVEOPT, u32(Option.list), u32(0));
    assert.equal((await client.wire.end()).length, 0);
    assert.match(await complaint(complaints), /went on in plain text after NBD_OPT_STARTTLS/);
    await stillServes(path);
  });

  const wrong: [string, tls.ConnectionOptions, RegExp][] = [
    ['another key', { pskCallback: () => ({ psk: randomBytes(32), identity: 'alice' }) }, /client/],
    ['an unknown user', { pskCallback: () => ({ psk: KEY, identity: 'bob' }) }, /client/],
    [
      'no cipher in common',
      { ciphers: 'ECDHE-RSA-AES128-GCM-SHA256', maxVersion: 'TLSv1.2' },
      /no shared cipher/,
    ],
  ];
  for (const [what, options, words] of wrong) {
    test(what, async t => {
      const { dial, path, complaints } = await start(t);
      const client = await dial();
      await assert.rejects(encrypted(client, options));
      assert.match(await complaint(complaints), /^the TLS handshake with the client failed: /);
      assert.match(complaints[0]!, words);
      await stillServes(path);
    });
  }

  test('plain text instead of a TLS handshake', async t => {
    const { dial, path, complaints } = await start(t);
    const client = await dial();
    assert.equal(await client.ask(Option.starttls), Rep.ack);
    client.option(Option.list);
    await client.wire.end();
    assert.match(await complaint(complaints), /: it does not speak TLS$/);
    await stillServes(path);
  });

  test('a client that dies in the middle of a record', async t => {
    const { dial, path, complaints } = await start(t);
    const plain = await dial();
    const client = await encrypted(plain);
    await client.go();
    client.request({ type: 1, payload: randomBytes(1 << 20) });
    client.wire.hangUp();
    plain.wire.hangUp();
    await stillServes(path);
    assert.doesNotMatch(complaints.join('\n'), /\n.*\n| {4}at /);
  });
});

describe('our client', () => {
  const failing: [string, Parameters<typeof negotiate>[1], RegExp][] = [
    [
      'another key',
      { tls: { ...OURS, credentials: psk('alice', randomBytes(32)) } },
      /TLS handshake with the server failed/,
    ],
    ['a user without a key', { tls: { ...OURS, username: 'bob' } }, /has none of 'bob'/],
  ];
  for (const [what, options, words] of failing) {
    test(what, async t => {
      const { path } = await start(t);
      await assert.rejects(negotiate({ path }, options), error => words.test(messageOf(error)));
      await stillServes(path);
    });
  }

  test('a server without TLS', async t => {
    const { path } = await startServer(t, { open: () => sparseStore(512n) });
    await assert.rejects(negotiate({ path }, { tls: OURS }), /TLS/);
  });
});
