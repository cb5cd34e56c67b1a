import assert from 'node:assert/strict';
import type { NbdClient } from '../../src/client/client.ts';
import { Random } from '../../src/testing/model.ts';
import { mebibytes, milliseconds, type Scenario } from './scenario.ts';
import { ServerProcess } from './server.ts';

/** Bytes of each client's own part of the disk. */
const PART = 1 << 18;
/** Of each busy client in a round. */
const REQUESTS = 40;
/** Most descriptors that a thread of the server's has for itself. */
const OF_A_THREAD = 8;

/** Writes and reads back random ranges of its part of the disk. */
async function busy(client: NbdClient, part: bigint, random: Random): Promise<number> {
  const model = Buffer.from(await client.read(part, PART));
  let moved = 0;
  for (let left = REQUESTS; left > 0; left--) {
    const at = random.below(PART);
    const length = 1 + random.below(Math.min(65536, PART - at));
    if (left % 2) {
      const bytes = Buffer.alloc(length, random.below(256));
      await client.write!(part + BigInt(at), bytes);
      bytes.copy(model, at);
    } else {
      const bytes = await client.read(part + BigInt(at), length);
      assert.ok(bytes.equals(model.subarray(at, at + length)), `bytes at ${part + BigInt(at)}`);
    }
    moved += length;
  }
  return moved;
}

export const crowd: Scenario = {
  name: '1,000 idle clients and 50 busy ones',
  async run({ random, folder, scale, more, round }) {
    const server = await ServerProcess.start(folder, ['-U', 'socket', 'memory', '1G']);
    const open = (count: number) =>
      Promise.all(Array.from({ length: Math.ceil(count * scale) }, () => server.connect()));
    await server.serves();
    const [before, descriptors] = [server.memory, server.descriptors];
    const idle = await open(1000);
    const withIdle = server.memory;
    const workers = await open(50);
    let [moved, requests] = [0, 0];
    while (more()) {
      round();
      requests += workers.length * REQUESTS;
      const parts = workers.map((client, index) =>
        busy(client, BigInt(index * PART), new Random(random.below(2 ** 30))),
      );
      await server.serves();
      for (const bytes of await Promise.all(parts)) moved += bytes;
    }
    await Promise.all(idle.map(client => client.read(0n, 512)));
    await Promise.all([...idle, ...workers].map(client => client.close()));
    await server.settles(descriptors + OF_A_THREAD);
    await server.endWell();
    assert.equal(server.said, '');
    return [
      `${idle.length} + ${workers.length} clients`,
      `${requests.toLocaleString('en')} requests, ${mebibytes(moved)}, every byte read compared`,
      `an idle client takes ${((withIdle - before) / idle.length / 1024).toFixed(0)} KiB`,
      `one that comes is served in ${milliseconds(server.longest)} at most`,
    ].join('; ');
  },
};
