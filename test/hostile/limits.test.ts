import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join, resolve } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { contiguous } from '../../src/block/data.ts';
import { connect } from '../../src/client/connect.ts';
import { isListening } from '../peer/listening.ts';
import { ScriptedClient } from '../peer/scripted-client.ts';
import { temporaryFolder, Wire } from '../peer/wire.ts';

const PROGRAM = resolve(import.meta.dirname, '../../dist/nbdkit.cjs');
/** Node takes two thirds of it when it starts. */
const ADDRESS_SPACE_KIB = 1_500_000;

/** A server with a limit of the system's; gives its URI, and what it has said once it has ended. */
async function limited(t: TestContext, limit: string, ...words: readonly string[]) {
  const path = join(temporaryFolder(t), 'socket');
  const command = `ulimit ${limit}; exec "$0" "$@"`;
  const server = [process.execPath, PROGRAM, '-f', '-U', path, ...words];
  const child = spawn('/bin/sh', ['-c', command, ...server], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const closed = once(child, 'close');
  t.after(() => child.kill('SIGKILL'));
  let said = '';
  child.stderr.on('data', bytes => {
    said += bytes;
  });
  while (!isListening(path)) await delay(20);
  const end = async () => {
    child.kill('SIGTERM');
    await closed;
    return said;
  };
  return { path, end };
}

test('out of descriptors: said once, and service again when others have left', async t => {
  const { path, end } = await limited(t, '-n 100', 'null', '1M');
  const clients = await Promise.all(
    Array.from({ length: 120 }, async () => new ScriptedClient(await Wire.dial(path))),
  );
  const greeted = await Promise.allSettled(clients.map(client => client.greet()));
  const served = greeted.filter(({ status }) => status === 'fulfilled').length;
  assert.ok(served > 20 && served < 100, `${served} of 120 were greeted`);
  for (const client of clients) client.wire.hangUp();
  for (let attempts = 0; ; attempts++) {
    const client = new ScriptedClient(await Wire.dial(path));
    const flags = await client.greet().catch(() => undefined);
    client.wire.hangUp();
    if (flags !== undefined) break;
    assert.ok(attempts < 100, 'service does not come back');
    await delay(20);
  }
  const said = await end();
  assert.equal(said.split('out of file descriptors').length - 1, 1, said);
});

test('out of memory: writes are refused, and what was written is still there', async t => {
  const { path, end } = await limited(t, `-v ${ADDRESS_SPACE_KIB}`, 'memory', '1T');
  const client = await connect(`nbd+unix:///?socket=${path}`);
  const data = Buffer.alloc(1 << 20, 'data');
  let offset = 0n;
  const fill = async () => {
    for (; ; offset += BigInt(data.length)) await client.write!(offset, data);
  };
  await assert.rejects(fill, { errno: 'ENOMEM' });
  await assert.rejects(async () => client.write!(1n << 39n, data), { errno: 'ENOMEM' });
  for (let at = 0n; at < offset; at += BigInt(data.length)) {
    assert.ok(data.equals(contiguous(await client.read(at, data.length))));
  }
  await client.close();
  assert.match(await end(), /no memory for another page/);
});
