import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BlockError } from '../block/errors.ts';
import { serve } from '../server/server.ts';
import { connect } from './connect.ts';

/** This machine, where the system has a loopback. */
const LOCAL = 1;

test('AF_VSOCK leads to a server, or the error says where it did not', async t => {
  const device = { size: 4n, read: (_: bigint, length: number) => Buffer.alloc(length, 'near') };
  const server = await serve(device, { listen: { vsockPort: 0 } }).catch((error: BlockError) => {
    t.skip(error.message);
  });
  if (!server) return;
  t.after(() => server.close());
  const uri = server.uri!;
  assert.match(uri, new RegExp(`^nbd\\+vsock://${LOCAL}:\\d+`));
  try {
    const client = await connect(uri);
    assert.equal((await client.read(0n, 4)).toString(), 'near');
    await client.close();
  } catch (error) {
    assert.ok(error instanceof BlockError, String(error));
    assert.match(error.message, /^cannot connect to vsock 1:\d+: connect: /);
    t.skip(error.message);
  }
});
