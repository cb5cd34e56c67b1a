import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { hex, join, u32, u64 } from '../../test/peer/bytes.ts';
import { only, type ScriptedClient, startServer } from '../../test/peer/scripted-client.ts';
import { connected, enter, FORMS, type Form } from '../../test/peer/transmission.ts';
import type { BlockDevice, WriteOptions } from '../block/device.ts';
import { BlockError } from '../block/errors.ts';
import { Command, CommandFlag, Reply, TransmissionFlag } from '../protocol/constants.ts';
import { sparseStore } from '../stores/sparse.ts';

const SIZE = 1n << 20n;
const EPERM = 1;
const EIO = 5;
const EINVAL = 22;
const ENOSPC = 28;
const EOVERFLOW = 75;
const ENOTSUP = 95;

/** The write command with its payload, as the form has it. */
function write(client: ScriptedClient, offset: bigint, payload: Uint8Array, flags = 0) {
  const needed = client.extended ? CommandFlag.payloadLength : 0;
  return { type: Command.write, flags: flags | needed, offset, payload };
}

async function readBack(client: ScriptedClient, offset: bigint, length: number): Promise<Buffer> {
  client.request({ type: Command.read, flags: 0, offset, length });
  const bytes = Buffer.alloc(length);
  for (;;) {
    const { kind, type, done, payload, error } = await client.answer(length);
    assert.equal(error, 0);
    if (kind === 'simple') return payload;
    if (type === Reply.offsetData) {
      payload.copy(bytes, Number(payload.readBigUInt64BE(0) - offset), 8);
    }
    if (done) return bytes;
  }
}

for (const form of FORMS) {
  describe(`requests and ${form} replies`, () => {
    test('what is refused, with which error, and that the connection goes on', async t => {
      const { client } = await connected(t, sparseStore(SIZE), form);
      const bytes = Buffer.alloc(512, 1);
      const cases = [
        ['unknown command', { type: 99, length: 512 }, EINVAL],
        ['resize', { type: 8, length: 512 }, EINVAL],
        ['unknown flag', { type: Command.read, flags: 1 << 15, length: 512 }, EINVAL],
        ['NO_HOLE on a read', { type: Command.read, flags: 2, length: 512 }, EINVAL],
        ['DF on a trim', { type: Command.trim, flags: 4, length: 512 }, EINVAL],
        ['REQ_ONE on a write', write(client, 0n, bytes, 8), EINVAL],
        ['read past the end', { type: Command.read, offset: SIZE - 511n, length: 512 }, EINVAL],
        ['read far past it', { type: Command.read, offset: 2n ** 64n - 1n, length: 2 }, EINVAL],
        ['write past the end', write(client, SIZE - 511n, bytes), ENOSPC],
        ['write far past it', write(client, 2n ** 63n, bytes), ENOSPC],
        ['zero past the end', { type: Command.writeZeroes, offset: SIZE, length: 1 }, ENOSPC],
        ['trim past the end', { type: Command.trim, offset: SIZE, length: 1 }, EINVAL],
        ['cache past the end', { type: Command.cache, offset: SIZE, length: 1 }, EINVAL],
        ['flush of a range', { type: Command.flush, offset: 512n, length: 512 }, EINVAL],
        ['status without contexts', { type: Command.blockStatus, length: 512 }, EINVAL],
      ] as const;
      for (const [what, ask, expected] of cases) {
        assert.equal(await client.outcome(ask), expected, what);
      }
      assert.equal(await client.outcome(write(client, SIZE - 512n, bytes, 1)), 0);
      assert.deepEqual(await readBack(client, SIZE - 512n, 512), bytes);
    });

    test('commands for no bytes', async t => {
      const { client } = await connected(t, sparseStore(SIZE), form);
      for (const offset of [0n, 5n, SIZE]) {
        for (const type of [Command.read, Command.trim, Command.cache, Command.writeZeroes]) {
          assert.equal(await client.outcome({ type, offset, length: 0 }), 0);
        }
        assert.equal(await client.outcome(write(client, offset, Buffer.alloc(0))), 0);
      }
      assert.equal(await client.outcome({ type: Command.read, offset: SIZE + 1n }), EINVAL);
    });

    test('a read-only export', async t => {
      const { client, flags } = await connected(t, sparseStore(SIZE), form, { readOnly: true });
      const { readOnly, trim, writeZeroes, fua, fastZero } = TransmissionFlag;
      assert.equal(flags & (readOnly | trim | writeZeroes | fua | fastZero), readOnly);
      assert.equal(await client.outcome(write(client, 0n, Buffer.alloc(512, 1))), EPERM);
      assert.equal(await client.outcome({ type: Command.trim, length: 512 }), EPERM);
      assert.equal(await client.outcome({ type: Command.writeZeroes, length: 512 }), EPERM);
      assert.deepEqual(await readBack(client, 0n, 512), Buffer.alloc(512));
    });

    test('block sizes are kept to', async t => {
      const blockSize = { minimum: 512, preferred: 4096, maximum: 65536 };
      const { client } = await connected(t, { ...sparseStore(SIZE), blockSize }, form);
      const bad = async (offset: bigint, length: number) => {
        assert.equal(await client.outcome({ type: Command.read, offset, length }), EINVAL);
        assert.equal(await client.outcome(write(client, offset, Buffer.alloc(length))), EINVAL);
      };
      await bad(1n, 512);
      await bad(0n, 511);
      await bad(0n, 66048);
      assert.equal(await client.outcome({ type: Command.trim, offset: 256n, length: 512 }), EINVAL);
      assert.equal(await client.outcome({ type: Command.writeZeroes, length: 1 << 20 }), 0);
      assert.equal(await client.outcome(write(client, 512n, Buffer.alloc(65536, 3))), 0);
      assert.deepEqual(await readBack(client, 512n, 65536), Buffer.alloc(65536, 3));
    });

    test('reads and writes of many megabytes, and one over what is served', async t => {
      const { client } = await connected(t, sparseStore(1n << 30n), form);
      const length = 40 * 2 ** 20 + 16;
      const bytes = Buffer.alloc(length, 'forty megabytes and a bit');
      assert.equal(await client.outcome(write(client, 4090n, bytes)), 0);
      assert.ok((await readBack(client, 4090n, length)).equals(bytes));
      const tooLong = { type: Command.read, length: 2 ** 26 + 1 };
      assert.equal(await client.outcome(tooLong), EOVERFLOW);
      client.request({ ...write(client, 0n, Buffer.alloc(0)), length: 2 ** 26 + 1 });
      assert.equal((await client.wire.end()).length, 0);
    });

    test('a request that needs all the room behind one that needs little', async t => {
      const { writeBuffer: _writeBuffer, ...device } = sparseStore(1n << 30n);
      const { client } = await connected(t, { ...device, flush: soon(undefined) }, form);
      client.wire.send(
        client.encode({ type: Command.flush }),
        client.encode({ type: Command.cache, length: 512 }),
        client.encode({ type: Command.read, length: 2 ** 26 + 1 }),
        client.encode(write(client, 0n, Buffer.alloc(33 << 20))),
        client.encode({ type: Command.cache, length: 512 }),
      );
      const errors: number[] = [];
      for (let count = 0; count < 5; count++) errors.push((await client.answer()).error);
      assert.deepEqual(errors.sort(), [0, 0, 0, 0, EOVERFLOW]);
    });

    test('something that is not a request ends the connection', async t => {
      const { client, dial } = await connected(t, sparseStore(SIZE), form);
      client.wire.send(Buffer.alloc(32, 0x7a));
      assert.equal((await client.wire.end()).length, 0);
      const other = await dial();
      await enter(other, form);
      assert.equal(await other.outcome({ type: Command.flush }), 0);
    });

    test('NBD_CMD_DISC: what was asked before is answered, then the server hangs up', async t => {
      const slow = { ...sparseStore(SIZE), read: soon(Buffer.alloc(512, 9)) };
      const { client } = await connected(t, slow, form);
      client.request({ type: Command.read, length: 512 });
      client.request({ type: Command.disconnect });
      assert.equal((await client.answer(512)).payload.at(-1), 9);
      assert.equal((await client.wire.end()).length, 0);
    });

    test('a device that misbehaves gives EIO and harms no one', async t => {
      const bad: Record<number, () => unknown> = {
        0: () => Buffer.alloc(511),
        512: () => undefined,
        1024: async () => undefined,
        1536: () => 'text',
        2048: async () => [Buffer.alloc(600)],
        2560: () => {
          throw new TypeError('a bug');
        },
        3072: async () => {
          throw null;
        },
        3584: () => Promise.reject(new BlockError('EIO', 'the disk is broken')),
      };
      const device = { ...sparseStore(SIZE), read: (offset: bigint) => bad[Number(offset)]!() };
      const { client } = await connected(t, device as unknown as BlockDevice, form);
      for (const offset of Object.keys(bad)) {
        const ask = { type: Command.read, offset: BigInt(offset), length: 512 };
        assert.equal(await client.outcome(ask), EIO, `read at ${offset}`);
      }
      assert.equal(await client.outcome({ type: Command.flush }), 0);
    });
  });
}

function soon<T>(value: T): () => Promise<T> {
  return () => new Promise(resolve => setTimeout(resolve, 20, value));
}

describe('flags', () => {
  test('DF is offered with chunks only, and needs them', async t => {
    const { client, flags } = await connected(t, sparseStore(SIZE));
    assert.equal(flags & TransmissionFlag.df, 0);
    const ask = { type: Command.read, flags: CommandFlag.df, length: 512 };
    assert.equal(await client.outcome(ask), EINVAL);
  });

  test('FUA is refused where it was not offered', async t => {
    const { flush, fua, ...device } = sparseStore(SIZE);
    assert.ok(flush && fua);
    const { client, flags } = await connected(t, device);
    assert.equal(flags & (TransmissionFlag.fua | TransmissionFlag.flush), 0);
    assert.equal(await client.outcome(write(client, 0n, Buffer.alloc(512), 1)), EINVAL);
    assert.equal(await client.outcome({ type: Command.flush }), EINVAL);
    assert.equal(await client.outcome(write(client, 0n, Buffer.alloc(512))), 0);
  });

  test('FUA on every command where it was offered', async t => {
    const { client } = await connected(t, sparseStore(SIZE));
    const asks = [0, 3, 4, 5, 6].map(type => ({ type, flags: 1, length: type === 3 ? 0 : 512 }));
    for (const ask of asks) {
      client.request(ask);
      assert.equal((await client.answer(ask.type === 0 ? 512 : 0)).error, 0, `command ${ask.type}`);
    }
  });

  /** A device that notes what reaches it. */
  function noting(fua: boolean): { device: BlockDevice; notes: string[] } {
    const notes: string[] = [];
    const note = (what: string) => (_at: bigint, _what: unknown, options?: WriteOptions) => {
      notes.push(options?.fua ? `${what} fua` : what);
    };
    const device: BlockDevice = {
      size: SIZE,
      fua: fua ? 'native' : undefined,
      read: (_at, length) => Buffer.alloc(length),
      write: note('write'),
      trim: note('trim'),
      zero: note('zero'),
      flush: () => {
        notes.push('flush');
      },
    };
    return { device, notes };
  }

  test('FUA is a flush after it for devices that have none', async t => {
    const { device, notes } = noting(false);
    const { client } = await connected(t, device);
    assert.equal(await client.outcome(write(client, 0n, Buffer.alloc(512), 1)), 0);
    assert.equal(await client.outcome({ type: Command.trim, flags: 1, length: 512 }), 0);
    assert.equal(await client.outcome({ type: Command.writeZeroes, flags: 1, length: 512 }), 0);
    const plain = notes.map(word => word.replace(' fua', ''));
    assert.deepEqual(plain, ['write', 'flush', 'trim', 'flush', 'zero', 'flush']);
  });

  test('FUA is the business of devices that have it', async t => {
    const { device, notes } = noting(true);
    const { client } = await connected(t, device);
    assert.equal(await client.outcome(write(client, 0n, Buffer.alloc(512), 1)), 0);
    assert.equal(await client.outcome({ type: Command.trim, flags: 1, length: 512 }), 0);
    assert.equal(await client.outcome({ type: Command.writeZeroes, flags: 1, length: 512 }), 0);
    assert.deepEqual(notes, ['write fua', 'trim fua', 'zero fua']);
  });

  test('FUA where the device lends memory for the payload', async t => {
    const { device, notes } = noting(true);
    const memory = Buffer.alloc(1 << 20);
    const writeBuffer = (offset: bigint, length: number) => ({
      memory: memory.subarray(Number(offset), Number(offset) + length),
      done: (options?: WriteOptions) => void notes.push(options?.fua ? 'done fua' : 'done'),
      abandon: () => void notes.push('abandon'),
    });
    const { client } = await connected(t, { ...device, writeBuffer });
    assert.equal(await client.outcome(write(client, 0n, Buffer.alloc(512, 5))), 0);
    assert.equal(memory[511], 5);
    assert.equal(await client.outcome(write(client, 0n, Buffer.alloc(512, 6), 1)), 0);
    assert.deepEqual(notes, ['done', 'done fua']);
  });

  test('FUA on a long write that arrives in pieces', async t => {
    const { device, notes } = noting(true);
    const { client } = await connected(t, device);
    const big = { ...device, size: 1n << 30n };
    const { dial } = await startServer(t, only(big));
    const other = await dial();
    await enter(other, 'simple');
    assert.equal(await other.outcome(write(other, 0n, Buffer.alloc(40 << 20), 1)), 0);
    const durable = notes.at(-1) === 'flush' || notes.every(word => word === 'write fua');
    assert.ok(notes.length > 1 && durable, notes.join());
    assert.equal(await client.outcome({ type: Command.flush }), 0);
  });

  test('FAST_ZERO: with quick zeroing, without, and not offered', async t => {
    const ask = { type: Command.writeZeroes, flags: CommandFlag.fastZero, length: 512 };
    const quick = await connected(t, sparseStore(SIZE));
    assert.ok(quick.flags & TransmissionFlag.fastZero);
    assert.equal(await quick.client.outcome(ask), 0);
    const { zero, fastZero, ...without } = sparseStore(SIZE);
    assert.ok(zero && fastZero);
    const emulated = await connected(t, without);
    assert.ok(emulated.flags & TransmissionFlag.fastZero);
    assert.equal(await emulated.client.outcome(ask), ENOTSUP);
    assert.equal(await emulated.client.outcome({ ...ask, flags: 0 }), 0);
    const slow = await connected(t, { ...without, zero });
    assert.equal(slow.flags & TransmissionFlag.fastZero, 0);
    assert.equal(await slow.client.outcome(ask), EINVAL);
  });

  test('PAYLOAD_LEN belongs to extended headers', async t => {
    const { client } = await connected(t, sparseStore(SIZE), 'structured');
    const flags = CommandFlag.payloadLength;
    const payload = Buffer.alloc(512, 1);
    assert.equal(await client.outcome({ type: Command.write, flags, payload }), EINVAL);
    assert.equal(await client.outcome({ type: Command.read, flags, length: 512 }), EINVAL);
    assert.deepEqual(await readBack(client, 0n, 512), Buffer.alloc(512));
  });
});

describe('extended headers', () => {
  test('a payload where none belongs is swallowed; a write without one is refused', async t => {
    const { client } = await connected(t, sparseStore(SIZE), 'extended');
    const flags = CommandFlag.payloadLength;
    for (const type of [Command.read, Command.flush, Command.trim, Command.writeZeroes, 99]) {
      for (const length of [1, 100_000]) {
        const payload = Buffer.alloc(length, 0x25);
        assert.equal(await client.outcome({ type, flags, payload }), EINVAL, `command ${type}`);
      }
    }
    assert.equal(await client.outcome({ type: Command.write, length: 512 }), EINVAL);
  });

  test('lengths of 64 bits', async t => {
    const { client } = await connected(t, sparseStore(7n << 60n), 'extended');
    const length = 2n ** 52n + 512n;
    assert.equal(await client.outcome({ type: Command.writeZeroes, length }), 0);
    assert.equal(await client.outcome({ type: Command.trim, offset: 5n << 60n, length }), 0);
    assert.equal(await client.outcome({ type: Command.cache, length }), 0);
    const absurd = 2n ** 64n - 1n;
    assert.equal(await client.outcome({ type: Command.writeZeroes, length: absurd }), ENOSPC);
    assert.equal(await client.outcome({ type: Command.trim, length: absurd }), EINVAL);
    assert.equal(await client.outcome({ type: Command.read, length: absurd }), EOVERFLOW);
    assert.equal(await client.outcome({ type: Command.read, length: 2n ** 32n }), EOVERFLOW);
  });

  test('replies repeat the offset of the request', async t => {
    const { client } = await connected(t, sparseStore(SIZE), 'extended');
    client.request({ type: Command.flush, cookie: 77n });
    client.request({ type: Command.read, offset: 4096n, length: 512, cookie: 78n });
    const flushed = await client.wire.read(32);
    assert.deepEqual(flushed, hex(`6e8a278c 0001 0000 ${'0'.repeat(14)}4d ${'0'.repeat(32)}`));
    const head = await client.wire.read(32);
    assert.deepEqual(head.subarray(8, 24), join(u64(78), u64(4096)));
  });
});

describe('sparse reads', () => {
  async function sparse(t: TestContext, form: Form) {
    const device = sparseStore(SIZE);
    await device.write!(262144n, Buffer.alloc(65536, 1));
    const { client } = await connected(t, device, form);
    return client;
  }

  for (const form of ['structured', 'extended'] as const) {
    test(`a hole is sent as a hole: ${form}`, async t => {
      const client = await sparse(t, form);
      client.request({ type: Command.read, offset: 131072n, length: 524288 });
      const chunks = [await client.answer(), await client.answer(), await client.answer()];
      const types = chunks.map(({ type }) => type);
      assert.deepEqual(types, [Reply.offsetHole, Reply.offsetData, Reply.offsetHole]);
      assert.deepEqual(
        chunks.map(({ done }) => done),
        [false, false, true],
      );
      assert.deepEqual(chunks[0]!.payload, join(u64(131072), u32(131072)));
      assert.deepEqual(chunks[1]!.payload, join(u64(262144), Buffer.alloc(65536, 1)));
      assert.deepEqual(chunks[2]!.payload, join(u64(327680), u32(327680)));
    });

    test(`with DF it is one chunk of data: ${form}`, async t => {
      const client = await sparse(t, form);
      for (const offset of [0n, 131072n]) {
        const flags = CommandFlag.df;
        client.request({ type: Command.read, flags, offset, length: 131072 + 512 });
        const { type, done, payload } = await client.answer();
        assert.deepEqual([type, done, payload.length], [Reply.offsetData, true, 131072 + 520]);
      }
    });

    test(`a long hole is no more than a few chunks: ${form}`, async t => {
      const { client } = await connected(t, sparseStore(1n << 30n), form);
      client.request({ type: Command.read, length: 1 << 26 });
      let covered = 0;
      for (let done = false; !done; ) {
        const chunk = await client.answer();
        assert.equal(chunk.type, Reply.offsetHole);
        covered += chunk.payload.readUInt32BE(8);
        done = chunk.done;
      }
      assert.equal(covered, 1 << 26);
    });
  }

  test('the zeroes of one page in a short read are a hole too', async t => {
    const client = await sparse(t, 'structured');
    client.request({ type: Command.read, offset: 1024n, length: 512 });
    assert.equal((await client.answer()).type, Reply.offsetHole);
  });
});

describe('clients that vanish', () => {
  for (const [what, cut] of [
    ['in a header', 10],
    ['before a payload', 28],
    ['in a payload', 28 + 70_000],
  ] as const) {
    test(what, async t => {
      const { writeBuffer: _writeBuffer, ...device } = sparseStore(SIZE);
      const { client, dial, server } = await connected(t, device);
      const all = client.encode(write(client, 0n, Buffer.alloc(100_000, 1)));
      client.wire.send(all.subarray(0, cut));
      client.wire.finish();
      assert.equal((await client.wire.end()).length, 0);
      const other = await dial();
      await enter(other, 'simple');
      assert.deepEqual(await readBack(other, 0n, 100_000), Buffer.alloc(100_000));
      assert.equal(server.clients().length, 1);
    });
  }

  test('while their requests are under way', async t => {
    let release: () => void = () => {};
    const gate = new Promise<void>(resolve => {
      release = resolve;
    });
    let closed = 0;
    const device: BlockDevice = {
      ...sparseStore(SIZE),
      read: async (_at, length) => {
        await gate;
        return Buffer.alloc(length);
      },
      close: () => {
        closed += 1;
      },
    };
    const { client, dial, server } = await connected(t, device);
    for (let count = 0; count < 10; count++) client.request({ type: Command.read, length: 512 });
    await new Promise(resolve => setTimeout(resolve, 20));
    client.wire.hangUp();
    const other = await dial();
    await enter(other, 'simple');
    release();
    assert.equal(await other.outcome({ type: Command.flush }), 0);
    while (server.clients().length > 1) await new Promise(setImmediate);
    assert.equal(closed, 1);
  });
});
