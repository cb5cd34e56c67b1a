import assert from 'node:assert/strict';
import { closeSync, openSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { join as joinPath } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { u64 } from '../../test/peer/bytes.ts';
import { only, type ScriptedClient, startServer } from '../../test/peer/scripted-client.ts';
import {
  hasMemfd,
  SHARED,
  SHARED_DATA,
  SHARED_MEMORY,
  SHRINK,
  share,
  testMemory,
} from '../../test/peer/shared-memory.ts';
import { temporaryFolder } from '../../test/peer/wire.ts';
import { zeroes } from '../block/data.ts';
import type { BlockDevice } from '../block/device.ts';
import { BlockError } from '../block/errors.ts';
import { connect } from '../client/connect.ts';
import { fileDevice } from '../stores/file/device.ts';
import { openFile } from '../stores/file/open.ts';
import { sparseStore } from '../stores/sparse.ts';
import type { ServerOptions } from './options.ts';

const SIZE = 1n << 20n;
const MEMORY = 1 << 18;
const ACK = 1;
const POLICY = 0x80000002;
const INVALID = 0x80000003;
const EINVAL = 22;
const EIO = 5;
const READ = 0;
const WRITE = 1;
const HOLE = 2;

const skip = !hasMemfd() && 'there is no shared memory here';

/** A client in the transmission phase that shares memory with a server of the device. */
async function sharing(
  t: TestContext,
  device: BlockDevice,
  options: Omit<ServerOptions, 'source'> = {},
  size = MEMORY,
) {
  const started = await startServer(t, only(device), options);
  const client = await started.dial();
  const memory = testMemory(t, size);
  await client.greet();
  await client.extendedHeaders();
  const { type, taken, words } = await share(client, [memory.fd], size);
  assert.deepEqual([type, taken], [ACK, size], words);
  await client.go();
  return { ...started, client, memory };
}

/** Reads into the memory. @returns the runs that the chunks say of. */
async function read(client: ScriptedClient, offset: bigint, length: number, place: number) {
  client.request({ type: READ, flags: SHARED, offset, length, place });
  const runs: { kind: string; at: number; length: number }[] = [];
  for (;;) {
    const { type, error, done, payload } = await client.answer();
    assert.equal(error, 0, payload.toString('utf8', 6));
    const kind = type === SHARED_DATA ? 'data' : type === HOLE ? 'hole' : `${type}`;
    const at = Number(payload.readBigUInt64BE(0) - offset);
    runs.push({ kind, at, length: payload.readUInt32BE(8) });
    if (done) return runs;
  }
}

/** A device that keeps what it was given as it is when it comes to look at it, later. */
function looking(opaque: boolean) {
  const seen: Buffer[] = [];
  let look = () => {};
  const device: BlockDevice = {
    size: SIZE,
    opaque,
    read: (_offset, length, options) => {
      const memory = options!.memory!(length).fill(7);
      return new Promise(resolve => {
        look = () => resolve(memory);
      });
    },
    write: (_offset, data) =>
      new Promise(resolve => {
        look = () => {
          seen.push(Buffer.from(data));
          resolve();
        };
      }),
  };
  return { device, seen, look: () => look() };
}

const bytesOf = (length: number, seed = 1) =>
  Buffer.from(Array.from({ length }, (_, index) => (index * seed) % 251 || 1));

describe('shared memory', { skip }, () => {
  for (const kind of ['memory', 'file', 'device that looks'] as const) {
    test(`payloads lie in it: ${kind}`, async t => {
      const path = joinPath(temporaryFolder(t), 'disk');
      writeFileSync(path, Buffer.alloc(Number(SIZE)));
      const store = kind === 'file' ? fileDevice(openFile(path, false)) : sparseStore(SIZE);
      const plain: BlockDevice = {
        size: SIZE,
        read: (...call) => store.read(...call),
        write: (...call) => store.write!(...call),
      };
      const device = kind === 'device that looks' ? plain : store;
      const { client, memory } = await sharing(t, device);
      const bytes = bytesOf(100_000);
      memory.put(70_000, bytes);
      const write = { type: WRITE, flags: SHARED, offset: 32_768n, length: bytes.length };
      assert.equal(await client.outcome({ ...write, place: 70_000 }), 0);
      const runs = await read(client, 0n, 163_840, 4096);
      assert.ok(memory.get(4096 + 32_768, bytes.length).equals(bytes));
      assert.equal(runs.at(-1)!.at + runs.at(-1)!.length, 163_840);
      if (kind === 'memory') {
        assert.deepEqual(runs[0], { kind: 'hole', at: 0, length: 32_768 });
        assert.equal(runs[1]!.kind, 'data');
      }
      // The socket is there all the same.
      client.request({ type: READ, offset: 32_768n, length: 1000 });
      const { type, payload } = await client.answer();
      assert.equal(type, 1);
      assert.ok(payload.subarray(8).equals(bytes.subarray(0, 1000)));
      await device.close?.();
    });
  }

  test('what is refused, and that the connection goes on', async t => {
    const { client, memory } = await sharing(t, sparseStore(SIZE));
    const cases = [
      ['beyond the end', { length: 2, place: MEMORY - 1 }],
      ['far beyond it', { length: 1, place: 2n ** 64n - 1n }],
      ['longer than it', { length: MEMORY + 1, place: 0 }],
      ['DF', { flags: SHARED | 4, length: 512 }],
      ['a payload behind it', { type: WRITE, flags: SHARED | 32, length: 512 }],
      ['past the disk', { offset: SIZE, length: 512 }],
      ['a trim', { type: 4, length: 512 }],
      ['a block status', { type: 7, length: 512 }],
    ] as const;
    for (const [what, ask] of cases) {
      assert.equal(await client.outcome({ type: READ, flags: SHARED, ...ask }), EINVAL, what);
    }
    assert.equal(await client.outcome({ type: READ, flags: SHARED, length: 0 }), 0);
    assert.equal(await client.outcome({ type: WRITE, flags: SHARED, length: 0 }), 0);
    // To the last byte, and slots that overlap: the client has what it asked for.
    memory.put(0, bytesOf(MEMORY));
    for (const place of [0, 1000]) {
      const ask = { type: WRITE, flags: SHARED, length: MEMORY - 1000, place };
      assert.equal(await client.outcome(ask), 0);
    }
    client.request({ type: READ, flags: SHARED, cookie: 1n, length: 131_072, place: 0 });
    client.request({ type: READ, flags: SHARED, cookie: 2n, length: 131_072, place: 65_536 });
    assert.deepEqual([(await client.answer()).cookie, (await client.answer()).cookie], [1n, 2n]);
    assert.ok(memory.get(65_536, 131_072).equals(bytesOf(MEMORY).subarray(1000, 132_072)));
  });

  test('whoever looks at bytes has them for itself', async t => {
    const { device, seen, look } = looking(false);
    const { client, memory } = await sharing(t, device);
    memory.put(0, Buffer.alloc(5000, 1));
    client.request({ type: WRITE, flags: SHARED, length: 5000 });
    client.request({ type: 3 });
    // The flush is refused, which says that the write has been taken.
    await client.answer();
    memory.put(0, Buffer.alloc(5000, 2));
    look();
    assert.equal((await client.answer()).error, 0);
    assert.ok(seen[0]!.equals(Buffer.alloc(5000, 1)));
    client.request({ type: READ, flags: SHARED, length: 5000 });
    client.request({ type: 3 });
    await client.answer();
    assert.ok(
      memory.get(0, 5000).equals(Buffer.alloc(5000, 2)),
      'nothing is there before its time',
    );
    look();
    assert.equal((await client.answer()).type, SHARED_DATA);
    assert.ok(memory.get(0, 5000).equals(Buffer.alloc(5000, 7)));
  });

  test('whoever passes bytes on works in it', async t => {
    const { device, seen, look } = looking(true);
    const { client, memory } = await sharing(t, device);
    client.request({ type: READ, flags: SHARED, length: 5000, place: 4096 });
    client.request({ type: 3 });
    await client.answer();
    assert.ok(memory.get(4096, 5000).equals(Buffer.alloc(5000, 7)));
    look();
    await client.answer();
    client.request({ type: WRITE, flags: SHARED, length: 5000, place: 4096 });
    client.request({ type: 3 });
    await client.answer();
    look();
    await client.answer();
    assert.ok(seen[0]!.equals(Buffer.alloc(5000, 7)));
  });

  test('requests that are longer than a connection may hold', async t => {
    const kept = Buffer.alloc(2 << 20);
    const longest: number[] = [];
    const device: BlockDevice = {
      size: BigInt(kept.length),
      read: async (offset, length) => {
        longest.push(length);
        const at = Number(offset);
        return at < 1 << 20 ? zeroes(length) : kept.subarray(at, at + length);
      },
      write: async (offset, data) => {
        longest.push(data.length);
        if (offset === 0n) throw new BlockError('EIO', 'bad sector');
        kept.set(data, Number(offset));
      },
    };
    const size = 2 << 20;
    const { client, memory, dial } = await sharing(t, device, { memory: size }, size);
    const bytes = bytesOf(1 << 20);
    memory.put(4096, bytes);
    // Each connection that comes makes the share of the first smaller.
    await Promise.all([dial(), dial(), dial()].map(async other => (await other).greet()));
    const ask = { type: WRITE, flags: SHARED, offset: 1n << 20n, length: 1 << 20, place: 4096 };
    assert.equal(await client.outcome(ask), 0);
    assert.ok(kept.subarray(1 << 20).equals(bytes), 'written');
    assert.equal(await client.outcome({ ...ask, offset: 0n }), EIO);
    assert.deepEqual(await read(client, 1n << 19n, 3 << 19, 0), [
      { kind: 'hole', at: 0, length: 1 << 19 },
      { kind: 'data', at: 1 << 19, length: 1 << 19 },
      { kind: 'data', at: 1 << 20, length: 1 << 19 },
    ]);
    assert.ok(memory.get(1 << 19, 1 << 20).equals(bytes), 'read');
    assert.equal(Math.max(...longest), 1 << 19);
  });

  test('a proxy loses the descriptor, and the socket is there', async t => {
    const { path, server } = await startServer(t, only(sparseStore(SIZE)));
    const proxied = joinPath(temporaryFolder(t), 'proxy');
    const proxy = net.createServer(from => {
      const to = net.connect(path);
      for (const end of [from, to]) end.on('error', () => {});
      from.pipe(to).pipe(from);
    });
    proxy.listen(proxied);
    t.after(() => proxy.close());
    await using client = await connect(`nbd+unix:///?socket=${proxied}`, { sharedMemory: true });
    assert.equal(client.agreement.sharedMemory, 0);
    const bytes = bytesOf(100_000);
    await client.write!(0n, bytes);
    assert.ok(bytes.equals(await client.read(0n, bytes.length)), 'read');
    assert.equal(server.clients().length, 1);
  });

  test('a client that dies while its requests are under way', async t => {
    const { device, look } = looking(true);
    const { client, dial, server } = await sharing(t, device);
    client.request({ type: READ, flags: SHARED, length: 5000 });
    client.request({ type: 3 });
    await client.answer();
    client.wire.hangUp();
    while (server.clients().length > 0) {
      await turn();
      look();
    }
    const other = await dial();
    await other.greet();
    await other.go();
  });
});

describe('memory that is offered', { skip }, () => {
  async function offer(
    t: TestContext,
    fds: readonly number[],
    size: number | bigint = MEMORY,
    options: Omit<ServerOptions, 'source'> = {},
  ) {
    const { dial } = await startServer(t, only(sparseStore(SIZE)), options);
    const client = await dial();
    await client.greet();
    await client.structured();
    const answer = await share(client, fds, size);
    // Refused or not, the negotiation goes on.
    await client.go();
    const refusal = await client.outcome({
      type: READ,
      flags: SHARED,
      length: 2,
      place: 2n ** 40n,
    });
    assert.equal(refusal, EINVAL);
    return answer;
  }

  test('is not what it must be', async t => {
    const path = joinPath(temporaryFolder(t), 'file');
    writeFileSync(path, Buffer.alloc(MEMORY));
    const file = openSync(path, 'r+');
    const good = testMemory(t, MEMORY);
    const readOnly = openSync(`/proc/self/fd/${good.fd}`, 'r');
    t.after(() => [file, readOnly].forEach(closeSync));
    const cases: readonly (readonly [RegExp, ...number[]])[] = [
      [/one descriptor of memory must come/],
      [/one descriptor of memory must come/, good.fd, good.fd],
      [/one descriptor of memory must come/, ...Array(64).fill(good.fd)],
      [/not sealed against shrinking/, testMemory(t, MEMORY, 0).fd],
      [/not sealed against shrinking/, testMemory(t, MEMORY, 4).fd],
      [/has 4096 bytes: expected 262144/, testMemory(t, 4096).fd],
      [/cannot be mapped/, testMemory(t, MEMORY, SHRINK | 8).fd],
      [/cannot be mapped/, readOnly],
      [/none that can be sealed/, file],
      [/none that can be sealed/, 0],
    ];
    for (const [words, ...fds] of cases) {
      const answer = await offer(t, fds);
      assert.equal(answer.type, INVALID, String(words));
      assert.match(answer.words, words);
    }
  });

  test('is more than is taken', async t => {
    const memory = testMemory(t, 2 ** 30);
    assert.equal((await offer(t, [memory.fd], 2n ** 64n - 1n)).taken, 1 << 25);
    const small = { memory: 1 };
    assert.equal((await offer(t, [memory.fd], 2 ** 30, small)).taken, 1 << 19);
  });

  test('is only asked for, or not wanted', async t => {
    assert.equal((await offer(t, [], 0)).type, ACK);
    const { type, words } = await offer(t, [], MEMORY, { noSharedMemory: true });
    assert.deepEqual([type, words], [POLICY, 'no memory is shared here']);
    const { dial } = await startServer(t, only(sparseStore(SIZE)));
    const client = await dial();
    await client.greet();
    assert.equal((await share(client, [], MEMORY)).type, INVALID, 'simple replies');
    await client.structured();
    assert.equal(await client.ask(SHARED_MEMORY, Buffer.alloc(7)), INVALID);
  });

  test('once more, in place of the first', async t => {
    const device = sparseStore(SIZE);
    const { dial } = await startServer(t, only(device));
    const client = await dial();
    await client.greet();
    await client.extendedHeaders();
    const [first, second] = [testMemory(t, MEMORY), testMemory(t, MEMORY)];
    for (const memory of [first, second]) {
      assert.equal((await share(client, [memory.fd], MEMORY)).type, ACK);
    }
    await client.go();
    second.put(0, bytesOf(8192));
    assert.equal(await client.outcome({ type: WRITE, flags: SHARED, length: 8192 }), 0);
    await read(client, 0n, 8192, 16_384);
    assert.ok(second.get(16_384, 8192).equals(bytesOf(8192)));
    assert.ok(first.get(16_384, 8192).equals(Buffer.alloc(8192)));
  });

  test('by a client that does not wait', async t => {
    const { dial, complaints } = await startServer(t, only(sparseStore(SIZE)));
    const client = await dial();
    await client.greet();
    await client.structured();
    client.wire.send(Buffer.concat([optionOf(u64(MEMORY)), Buffer.from('at once')]));
    await client.wire.end();
    assert.match(complaints.join(), /went on before it was told/);
  });
});

function optionOf(data: Buffer): Buffer {
  const head = Buffer.from('49484156454f5054', 'hex');
  const numbers = Buffer.alloc(8);
  numbers.writeUInt32BE(SHARED_MEMORY, 0);
  numbers.writeUInt32BE(data.length, 4);
  return Buffer.concat([head, numbers, data]);
}
