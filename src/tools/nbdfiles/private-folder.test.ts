import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { commandOf } from '../../../test/peer/command.ts';
import { temporaryFolder } from '../../../test/peer/wire.ts';

test('a signal leaves no folder behind', async t => {
  const folder = temporaryFolder(t);
  const temporary = join(folder, 'tmp');
  mkdirSync(temporary);
  const words = [...commandOf('nbdfiles'), 'make-fs', '-', join(folder, 'disk')];
  const program = spawn(process.execPath, words, {
    env: { ...process.env, TMPDIR: temporary },
    stdio: ['pipe', 'ignore', 'inherit'],
  });
  t.after(() => program.kill('SIGKILL'));
  const ours = () => readdirSync(temporary).filter(name => name.startsWith('nbdfiles-'));
  while (ours().length === 0 && program.exitCode === null) {
    await new Promise(resolve => setTimeout(resolve, 10));
  }
  const closed = once(program, 'close');
  program.kill('SIGTERM');
  assert.deepEqual(await closed, [null, 'SIGTERM']);
  assert.deepEqual(ours(), []);
});
