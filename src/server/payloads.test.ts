import assert from 'node:assert/strict';
import { test } from 'node:test';
import { only, startServer } from '../../test/peer/scripted-client.ts';
import type { BlockDevice } from '../block/device.ts';
import { Command } from '../protocol/constants.ts';

const LENGTH = 1 << 18;

for (const [what, late] of Object.entries({ 'at once': false, later: true })) {
  test(`answers given ${what} are read into the same memory again and again`, async t => {
    const lent = new Set<ArrayBufferLike>();
    const device: BlockDevice = {
      size: 1n << 30n,
      read: (_offset, length, options) => {
        const bytes = options!.memory!(length);
        lent.add(bytes.buffer);
        return late ? new Promise(resolve => setImmediate(resolve, bytes)) : bytes;
      },
    };
    const { dial } = await startServer(t, only(device));
    const client = await dial();
    await client.greet();
    await client.go();
    const batch = Buffer.concat(
      Array.from({ length: 8 }, (_, index) =>
        client.encode({ type: Command.read, cookie: BigInt(index), length: LENGTH }),
      ),
    );
    for (let round = 0; round < 20; round++) {
      client.wire.send(batch);
      for (let count = 0; count < 8; count++) await client.answer(LENGTH);
    }
    assert.ok(lent.size <= 4, `${lent.size} buffers for 40 MiB of answers`);
  });
}
