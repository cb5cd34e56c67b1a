/** Writes whose payloads come slowly or not at all, over sockets that are busy and others. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { only, type ScriptedClient, startServer } from '../../test/peer/scripted-client.ts';
import { isZero } from '../block/data.ts';
import { type BlockDevice, UNTORN } from '../block/device.ts';
import { Command } from '../protocol/constants.ts';
import { memoryStore } from '../stores/allocator.ts';
import { sparseStore } from '../stores/sparse.ts';
import { Random } from '../testing/model.ts';

const MIB = 1 << 20;
const SIZE = BigInt(64 * MIB);
/** Much traffic gives a connection system calls of its own. */
const BUSY = 4 * MIB;

const STORES: Readonly<Record<string, () => BlockDevice>> = {
  'a disk in memory': () => sparseStore(SIZE),
  'a disk that threads share': () => memoryStore(SIZE, 'sparse'),
};

async function connected(t: TestContext, device: BlockDevice) {
  const started = await startServer(t, only(device));
  const enter = async (traffic: number): Promise<ScriptedClient> => {
    const client = await started.dial();
    await client.greet();
    await client.go();
    for (let done = 0; done < traffic; done += MIB) {
      const payload = Buffer.alloc(MIB, 1);
      assert.equal(await client.outcome({ type: Command.write, offset: 8n << 20n, payload }), 0);
    }
    return client;
  };
  return { ...started, enter };
}

async function read(client: ScriptedClient, offset: bigint, length: number): Promise<Buffer> {
  client.request({ type: Command.read, offset, length });
  return (await client.answer(length)).payload;
}

for (const [what, store] of Object.entries(STORES)) {
  for (const traffic of [0, BUSY]) {
    const which = traffic > 0 ? 'busy' : 'new';
    test(`clients that vanish in a payload tear no block: ${what}, ${which} connections`, async t => {
      const { server, enter } = await connected(t, store());
      const witness = await enter(0);
      const random = new Random(traffic + 1);
      for (let round = 0; round < 20; round++) {
        const length = 20_000 + random.below(300_000);
        const offset = BigInt(random.below(MIB));
        const old = Buffer.alloc(length, 1 + round);
        assert.equal(await witness.outcome({ type: Command.write, offset, payload: old }), 0);
        const client = await enter(traffic);
        const all = client.encode({
          type: Command.write,
          offset,
          payload: Buffer.alloc(length, 99),
        });
        const cut = 28 + random.below(length);
        const first = random.below(cut);
        client.wire.send(all.subarray(0, first));
        await client.wire.sent();
        if (random.below(2)) await new Promise(setImmediate);
        client.wire.send(all.subarray(first, cut));
        client.wire.finish();
        await client.wire.end();
        while (server.clients().length > 1) await new Promise(setImmediate);
        const found = await read(witness, offset, length);
        const head = UNTORN - Number(offset % BigInt(UNTORN));
        for (let at = 0, end = head; at < length; at = end, end += UNTORN) {
          const block = found.subarray(at, end);
          const whole = [1 + round, 99].some(byte =>
            block.equals(Buffer.alloc(block.length, byte)),
          );
          assert.ok(
            whole,
            `round ${round}: a block at ${at} of ${length} is torn, ${cut - 28} sent`,
          );
        }
      }
    });

    test(`what was trimmed while a write was under way stays away: ${what}, ${which}`, async t => {
      const { enter } = await connected(t, store());
      const slow = await enter(traffic);
      const other = await enter(traffic);
      const place = BigInt(3 * MIB);
      const late = slow.encode({
        type: Command.write,
        offset: place,
        payload: Buffer.alloc(65536, 7),
      });
      for (const type of [Command.trim, Command.writeZeroes]) {
        slow.wire.send(late.subarray(0, 28 + 1000));
        await slow.wire.sent();
        const outcome = async (ask: Parameters<ScriptedClient['outcome']>[0]) =>
          assert.equal(await other.outcome(ask), 0);
        await outcome({ type, offset: BigInt(2 * MIB), length: 2 * MIB });
        const payload = Buffer.alloc(MIB / 2, 2);
        await outcome({ type: Command.write, offset: BigInt(2 * MIB), payload });
        slow.wire.send(late.subarray(28 + 1000));
        assert.equal((await slow.answer()).error, 0);
        // The write ended last: its bytes are there, and are gone after the next trim for good.
        await outcome({ type, offset: BigInt(2 * MIB), length: 2 * MIB });
        await outcome({ type: Command.write, offset: place, payload: Buffer.alloc(1, 5) });
        const found = await read(other, place, 65536);
        assert.equal(found[0], 5);
        assert.ok(isZero(found.subarray(1)), 'bytes of the trimmed write come back');
      }
    });
  }
}
