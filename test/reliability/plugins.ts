import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { milliseconds, type Scenario } from './scenario.ts';
import { ServerProcess } from './server.ts';

/** A disk for each mistake, by its export name; the default export is a good one. */
const PLUGIN = `
  import { definePlugin } from 'nbdpipe/plugin';
  const size = 1n << 20n;
  const disks = {
    '': { read: (_offset, length) => Buffer.alloc(length, 1) },
    throws: { read: () => { throw new TypeError('a bug'); } },
    rejects: { read: async () => { throw new RangeError('a late bug'); } },
    undefined: { read: () => undefined },
    short: { read: (_offset, length) => Buffer.alloc(length - 1) },
    long: { read: async (_offset, length) => [Buffer.alloc(length), Buffer.alloc(1)] },
    hangs: { read: () => new Promise(() => {}) },
    beside: { read: (_offset, length) => {
      setImmediate(() => { throw new Error('a bug beside'); });
      return Buffer.alloc(length);
    } },
    unopened: { size: 5, read: () => Buffer.alloc(1) },
    unclosed: { read: (_offset, length) => Buffer.alloc(length), close: () => new Promise(() => {}) },
    badly: { read: (_offset, length) => Buffer.alloc(length), close: () => { throw new Error('at the end'); } },
  };
  const open = ({ exportName }) => ({ size, ...disks[exportName] });
  export default definePlugin({
    name: 'misbehaving', description: 'mistakes', parameters: {}, create: () => ({ open }),
  });`;

/** What a client gets to read of each. */
const REFUSED = ['throws', 'rejects', 'undefined', 'short', 'long'];
const SERVED = ['beside', 'unclosed', 'badly'];
/** Lines in the log for each round: all of them but `unclosed`, and two more. */
const LINES = 9;

export const misbehaving: Scenario = {
  name: 'a plugin that throws, hangs, or answers with the wrong bytes',
  async run({ folder, more, round }) {
    writeFileSync(join(folder, 'misbehaving.mjs'), PLUGIN);
    const server = await ServerProcess.start(folder, ['-U', 'socket', './misbehaving.mjs']);
    await server.serves();
    const { descriptors } = server;
    let rounds = 0;
    while (more()) {
      round();
      rounds += 1;
      const good = await server.connect();
      for (const name of [...REFUSED, ...SERVED]) {
        const client = await server.connect(name);
        const read = client.read(0n, 512);
        if (REFUSED.includes(name)) await assert.rejects(read, { errno: 'EIO' }, name);
        else assert.equal((await read).length, 512);
        assert.equal((await good.read(0n, 512))[511], 1);
        client.abort();
      }
      await assert.rejects(server.connect('unopened'), /size must be a bigint/);
      const hanging = await server.connect('hangs');
      const never = hanging.read(0n, 512).catch(() => {});
      await server.serves();
      hanging.abort();
      await never;
      await good.close();
    }
    await server.settles(descriptors);
    assert.equal(server.count('\n'), rounds * LINES, server.said.slice(0, 3000));
    const { longest } = server;
    const { status, took } = await server.end();
    assert.equal(status, 0, server.said.slice(-2000));
    assert.doesNotMatch(server.said, /^ +at |\(node:/m);
    return [
      `${rounds * (LINES + 1)} mistakes: EIO to the client concerned, one line in the log`,
      `others are served in ${milliseconds(longest)} at most`,
      `the server ends in ${milliseconds(took)}`,
    ].join('; ');
  },
};
