import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runProgram } from './program.ts';

test('a program that is not there, or fails, is named with what it complains of', async () => {
  await assert.rejects(runProgram('nbdpipe-none', []), {
    message: 'nbdpipe-none: not found: it must be installed',
  });
  const words = ['-c', 'echo one >&2; echo two >&2; exit 3'];
  await assert.rejects(runProgram('sh', words), { message: 'sh: failed with status 3: two' });
  const first = runProgram('sh', words, { reason: 'first', name: 'it' });
  await assert.rejects(first, { message: 'it: failed with status 3: one' });
  assert.equal(await runProgram('sh', ['-c', 'echo said >&2']), 'said');
});
