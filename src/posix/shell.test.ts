import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runShell } from './shell.ts';

test('what a script prints, and how it ends', async () => {
  const result = await runShell('echo "$word"; exit 88', { variables: { word: 'a  b' } });
  assert.deepEqual(result, { status: 88, output: 'a  b' });
});

test('much output is cut, and does not stop the script', async () => {
  const { status, output } = await runShell('head -c 200000 /dev/zero | tr "\\0" x');
  assert.deepEqual([status, output], [0, 'x'.repeat(4096)]);
});

test('a script can be given up', async () => {
  const gone = new AbortController();
  const run = runShell('sleep 60', { signal: gone.signal });
  gone.abort();
  await assert.rejects(run, { errno: 'EIO' });
});
