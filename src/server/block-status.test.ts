import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { join, u32, u64 } from '../../test/peer/bytes.ts';
import { only, startServer } from '../../test/peer/scripted-client.ts';
import { enter, type Form } from '../../test/peer/transmission.ts';
import { zeroes } from '../block/data.ts';
import type { BlockDevice } from '../block/device.ts';
import { Command, CommandFlag, Reply, TransmissionFlag } from '../protocol/constants.ts';

const EIO = 5;
const EINVAL = 22;

describe('block status', () => {
  const runs = [
    { length: 65536, hole: false, zero: false },
    { length: 65536, hole: true, zero: true },
    { length: 2 ** 33, hole: true, zero: false },
    { length: 512, hole: false, zero: true },
  ];
  const extra = (name: string, flags: number | bigint) => ({
    name,
    status: (_at: bigint, length: number) => [{ length, flags }],
  });
  const device: BlockDevice = {
    size: 2n ** 40n,
    read: (_at, length) => zeroes(length),
    extents: () => runs,
    contexts: [extra('x:one', 5), extra('x:two', 6)],
  };

  async function asked(t: TestContext, form: Form, ...contexts: string[]) {
    const { dial } = await startServer(t, only(device));
    const client = await dial();
    const entered = await enter(client, form, contexts);
    return { client, ...entered };
  }

  test('32 bits: a run that is too long is cut, and ends the answer', async t => {
    const { client } = await asked(t, 'structured', 'base:allocation');
    client.request({ type: Command.blockStatus, length: 2 ** 32 - 512 });
    const { type, done, payload } = await client.answer();
    assert.deepEqual([type, done], [Reply.blockStatus, true]);
    const fields = [1, 65536, 0, 65536, 3, 0xffff0000, 1];
    assert.deepEqual(payload, join(...fields.map(u32)));
  });

  test('64 bits: as long as it is', async t => {
    const { client } = await asked(t, 'extended', 'base:allocation');
    client.request({ type: Command.blockStatus, length: 2 ** 39 });
    const { type, payload } = await client.answer();
    assert.equal(type, Reply.blockStatusExt);
    const fields = [65536, 0, 65536, 3, 2 ** 33, 1, 512, 2];
    assert.deepEqual(payload, join(u32(1), u32(4), ...fields.map(u64)));
  });

  test('only the last run reaches past what was asked for', async t => {
    const { client } = await asked(t, 'structured', 'base:allocation');
    for (const [length, count] of [
      [512, 1],
      [65536, 1],
      [65537, 2],
      [131072, 2],
    ] as const) {
      client.request({ type: Command.blockStatus, length });
      assert.equal((await client.answer()).payload.length, 4 + 8 * count, `${length} bytes`);
    }
  });

  test('REQ_ONE: one run, no longer than asked for', async t => {
    const { client } = await asked(t, 'structured', 'base:allocation');
    for (const [length, run] of [
      [512, 512],
      [65536, 65536],
      [1 << 20, 65536],
    ] as const) {
      client.request({ type: Command.blockStatus, flags: CommandFlag.reqOne, length });
      assert.deepEqual((await client.answer()).payload, join(u32(1), u32(run), u32(0)));
    }
  });

  test('one chunk for each context', async t => {
    const { client, ids } = await asked(t, 'structured', 'base:allocation', 'x:two', 'x:one');
    client.request({ type: Command.blockStatus, length: 512 });
    const chunks = [await client.answer(), await client.answer(), await client.answer()];
    assert.deepEqual(
      chunks.map(({ done }) => done),
      [false, false, true],
    );
    const given = chunks.map(({ payload }) => payload.readUInt32BE(0)).sort();
    assert.deepEqual(given, [...ids.values()].sort());
  });

  test('a payload names the contexts', async t => {
    const contexts = ['base:allocation', 'x:one', 'x:two'];
    const { client, ids, flags } = await asked(t, 'extended', ...contexts);
    assert.ok(flags & TransmissionFlag.blockStatusPayload);
    const one = ids.get('x:one');
    const ask = (payload: Buffer) => ({
      type: Command.blockStatus,
      flags: CommandFlag.payloadLength,
      payload,
    });
    client.request(ask(join(u64(4096), u32(one))));
    const { done, payload } = await client.answer();
    assert.ok(done);
    assert.deepEqual(payload, join(u32(one), u32(1), u64(4096), u64(5)));
    const bad = {
      'given twice': join(u64(4096), u32(one), u32(one)),
      unknown: join(u64(4096), u32(99)),
      'the context 0': join(u64(4096), u32(0)),
      none: u64(4096),
      'half of one': join(u64(4096), Buffer.alloc(2)),
      'no length': u32(1),
      'a length past the end': join(u64(2n ** 41n), u32(one)),
      'no bytes': join(u64(0), u32(one)),
      'far too many': join(u64(4096), Buffer.alloc(1 << 20)),
    };
    for (const [what, bytes] of Object.entries(bad)) {
      assert.equal(await client.outcome(ask(bytes)), EINVAL, what);
    }
  });

  test('a payload without contexts', async t => {
    const { client, flags } = await asked(t, 'extended');
    assert.equal(flags & TransmissionFlag.blockStatusPayload, 0);
    const payload = join(u64(4096), u32(1));
    const ask = { type: Command.blockStatus, flags: CommandFlag.payloadLength, payload };
    assert.equal(await client.outcome(ask), EINVAL);
  });

  test('a device that answers nonsense gives EIO', async t => {
    const answers = [[], [{ length: 0 }], [{ length: Number.NaN }], [{ length: 1.5 }], undefined];
    const nonsense = {
      ...device,
      extents: async () => answers.shift(),
      contexts: [extra('x:wide', 2n ** 40n)],
    } as unknown as BlockDevice;
    const { dial } = await startServer(t, only(nonsense));
    for (const form of ['structured', 'extended'] as const) {
      const client = await dial();
      await enter(client, form, ['base:allocation']);
      for (let left = Math.min(answers.length, 3); left > 0; left--) {
        assert.equal(await client.outcome({ type: Command.blockStatus, length: 512 }), EIO);
      }
      assert.equal(await client.outcome({ type: Command.cache, length: 512 }), EINVAL);
    }
    const client = await dial();
    await enter(client, 'structured', ['x:wide']);
    assert.equal(await client.outcome({ type: Command.blockStatus, length: 512 }), EIO);
    assert.equal(await client.outcome({ type: Command.cache, length: 512 }), EINVAL);
  });
});
