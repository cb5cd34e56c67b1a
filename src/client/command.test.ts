import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '../../test/peer/wire.ts';
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

/** Whether a process is there. */
function runs(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

test('a command that says nothing is ended when the attempt is given up', async t => {
  for (const connecting of [connectCommand, connectSystemdSocketActivation]) {
    const giveUp = new AbortController();
    const pid = join(temporaryFolder(t), 'pid');
    const command = ['/bin/sh', '-c', `echo $$ >${pid}; exec sleep 1000`];
    const attempt = connecting(command, { signal: giveUp.signal });
    attempt.catch(() => {});
    while (!existsSync(pid) || readFileSync(pid, 'utf8') === '') {
      await new Promise(resolve => setTimeout(resolve, 5));
    }
    giveUp.abort(new Error('enough'));
    await assert.rejects(attempt, /^Error: enough$/);
    assert.equal(runs(Number(readFileSync(pid, 'utf8'))), false);
  }
});

test('closing an activated server ends it and removes its folder', async () => {
  const before = process.listeners('SIGTERM').length;
  const server = await activate(['/bin/sh', '-c', 'exec sleep 1000']);
  assert.ok(existsSync(dirname(server.path)));
  await server.close();
  assert.equal(existsSync(dirname(server.path)), false);
  assert.equal(process.listeners('SIGTERM').length, before);
});
