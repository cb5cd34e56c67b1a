/** Clients that send much before they read, and requests that take long. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { only, type ScriptedClient, startServer } from '../../test/peer/scripted-client.ts';
import type { BlockDevice } from '../block/device.ts';
import { BlockError } from '../block/errors.ts';
import { Command } from '../protocol/constants.ts';
import { memoryStore } from '../stores/allocator.ts';
import { sparseStore } from '../stores/sparse.ts';

const SIZE = 64n << 20n;
const EIO = 5;
const ENOMEM = 12;

async function connected(t: TestContext, device: BlockDevice) {
  const started = await startServer(t, only(device));
  const enter = async (): Promise<ScriptedClient> => {
    const client = await started.dial();
    await client.greet();
    await client.go();
    return client;
  };
  return { ...started, enter, client: await enter() };
}

const STORES: Readonly<Record<string, () => BlockDevice>> = {
  'a disk in memory': () => sparseStore(SIZE),
  'a disk that threads share': () => memoryStore(SIZE, 'sparse'),
  'a disk without write buffers': () => {
    const { writeBuffer: _writeBuffer, ...disk } = sparseStore(SIZE);
    return disk;
  },
};

for (const [what, store] of Object.entries(STORES)) {
  test(`a batch of reads and writes that is sent before anything is read: ${what}`, async t => {
    const { client } = await connected(t, store());
    const length = 300_000;
    client.wire.stopReading();
    for (let count = 0; count < 8; count++) {
      const offset = BigInt(count * length);
      client.request({ type: Command.read, cookie: BigInt(count), offset, length });
      const payload = Buffer.alloc(length, count + 1);
      client.request({ type: Command.write, cookie: BigInt(100 + count), offset, payload });
    }
    // Everything is taken although nobody reads.
    await client.wire.sent();
    client.wire.startReading();
    const answered = new Set<bigint>();
    while (answered.size < 16) {
      const { cookie, error } = await client.answer(0);
      assert.equal(error, 0);
      if (cookie < 100n) await client.wire.read(length);
      answered.add(cookie);
    }
    client.request({ type: Command.read, offset: BigInt(7 * length), length });
    assert.deepEqual((await client.answer(length)).payload, Buffer.alloc(length, 8));
  });
}

test('zeroing half a petabyte by writing holds up nobody, and ends with its client', async t => {
  let writes = 0;
  const device: BlockDevice = {
    size: 2n ** 50n,
    read: (_offset, length) => Buffer.alloc(length, 3),
    write: () => {
      writes += 1;
    },
  };
  const { dial, enter, server } = await connected(t, device);
  const client = await dial();
  await client.greet();
  await client.extendedHeaders();
  await client.go();
  client.request({ type: Command.writeZeroes, length: 2 ** 49 });
  const other = await enter();
  other.request({ type: Command.read, length: 512 });
  assert.equal((await other.answer(512)).payload[0], 3);
  client.wire.hangUp();
  while (server.clients().length > 2) await new Promise(setImmediate);
  const before = writes;
  other.request({ type: Command.read, length: 512 });
  await other.answer(512);
  assert.equal(writes, before);
});

test('an answer is waited for, whatever kind of promise it is', async t => {
  /** Nothing that Node knows as its own. */
  class Later<T> implements PromiseLike<T> {
    readonly #promise: Promise<T>;

    constructor(settle: () => T) {
      this.#promise = new Promise(resolve => setImmediate(resolve)).then(settle);
    }

    // biome-ignore lint/suspicious/noThenProperty: this is what is tested
    then: PromiseLike<T>['then'] = (...callbacks) => this.#promise.then(...callbacks);
  }
  const refuse = () => {
    throw new BlockError('EIO', 'not this one');
  };
  const device: BlockDevice = {
    ...sparseStore(SIZE),
    writeBuffer: () => undefined,
    read: () => new Later(() => Buffer.alloc(512, 9)),
    write: () => new Later(refuse),
  };
  const { client } = await connected(t, device);
  client.request({ type: Command.read, length: 512 });
  assert.equal((await client.answer(512)).payload[0], 9);
  assert.equal(await client.outcome({ type: Command.write, payload: Buffer.alloc(512) }), EIO);
});

for (const [what, length] of [
  ['a short payload', 512],
  ['a long one', 1 << 20],
  ['one that comes in pieces', 40 << 20],
] as const) {
  test(`a write buffer that cannot be had is the answer to the write: ${what}`, async t => {
    const device: BlockDevice = {
      ...sparseStore(SIZE),
      writeBuffer: () => {
        throw new BlockError('ENOMEM', 'no memory for another page');
      },
    };
    const { client } = await connected(t, device);
    const payload = Buffer.alloc(length, 1);
    assert.equal(await client.outcome({ type: Command.write, payload }), ENOMEM);
    assert.equal(await client.outcome({ type: Command.flush }), 0);
  });
}
