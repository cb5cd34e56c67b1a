import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { isListening } from '../peer/listening.ts';
import { ScriptedClient } from '../peer/scripted-client.ts';
import { temporaryFolder, Wire } from '../peer/wire.ts';

const PROGRAM = resolve(import.meta.dirname, '../../dist/nbdkit.cjs');

test('out of descriptors: said once, and service again when others have left', async t => {
  const path = join(temporaryFolder(t), 'socket');
  const command = `ulimit -n 100; exec "$0" "$@"`;
  const words = [process.execPath, PROGRAM, '-f', '-U', path, 'null', '1M'];
  const child = spawn('/bin/sh', ['-c', command, ...words], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const closed = once(child, 'close');
  t.after(() => child.kill('SIGKILL'));
  let said = '';
  child.stderr.on('data', bytes => {
    said += bytes;
  });
  while (!(await isListening(path))) await new Promise(r => setTimeout(r, 20));
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
    await new Promise(r => setTimeout(r, 20));
  }
  child.kill('SIGTERM');
  await closed;
  assert.equal(said.split('out of file descriptors').length - 1, 1, said);
});
