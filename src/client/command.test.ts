import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BlockError } from '../block/errors.ts';
import { activate, connectCommand, connectSystemdSocketActivation } from './command.ts';

/** Settles whether the command's end or the attempt to connect comes first. */
test('commands that end at once, with their status', async () => {
  const attempts = Array.from({ length: 10 }, (_, index) => async () => {
    const command = ['/bin/sh', '-c', `exit ${index}`];
    const failed = (error: unknown) => {
      assert.ok(error instanceof BlockError);
      return new RegExp(`/bin/sh ended with status ${index}`).test(error.message);
    };
    await assert.rejects(connectSystemdSocketActivation(command), failed);
  });
  for (const attempt of attempts) await attempt();
  await Promise.all(attempts.map(attempt => attempt()));
});

test('a server that has ended can still be closed', async () => {
  const server = await activate(['/bin/sh', '-c', 'kill -KILL $$']);
  await new Promise(resolve => setTimeout(resolve, 50));
  await assert.rejects(server.negotiate(), /ended with signal SIGKILL/);
  await Promise.all([server.close(), server.close()]);
});

test('commands that are none', async () => {
  for (const argv of [['/nonexistent/server'], ['/']]) {
    await assert.rejects(connectCommand(argv), BlockError);
  }
  await assert.rejects(connectCommand([]), /the command to run is missing/);
  await assert.rejects(connectCommand(['/bin/sh', '-c', 'echo hello']), BlockError);
});
