import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '../../test/peer/wire.ts';
import { BlockError } from '../block/errors.ts';
import { type ChildOptions, runChild } from './child.ts';

function shell(code: string, options: Partial<ChildOptions> = {}) {
  const own = { name: 'it', variables: process.env, limit: 1 << 20, ...options };
  return runChild('/bin/sh', ['-c', code], own);
}

const text = ({ output }: { output: readonly Buffer[] }) => Buffer.concat(output).toString();

const failsWith = (words: RegExp) => (error: unknown) =>
  error instanceof BlockError && error.errno === 'EIO' && words.test(error.message);

/** Waits until a process is gone, or only its parent has yet to notice. */
async function gone(pid: number): Promise<boolean> {
  for (let round = 0; round < 500; round++) {
    const status = `/proc/${pid}/stat`;
    if (!existsSync(status) || / Z /.test(readFileSync(status, 'latin1'))) return true;
    await new Promise(resolve => setTimeout(resolve, 10));
  }
  return false;
}

test('a child gets bytes and gives bytes', async () => {
  const input = Buffer.alloc(300_000, 'abc');
  const end = await shell('cat; echo why >&2; exit 7', { input });
  assert.equal(text(end), input.toString());
  assert.deepEqual([end.status, end.errors, end.deaf], [7, 'why\n', false]);
});

test('its streams are pipes, which have names', {
  skip: process.platform !== 'linux',
}, async () => {
  const code = 'cat /dev/stdin >/dev/stdout; echo bad >/dev/stderr';
  const end = await shell(code, { input: Buffer.from('data') });
  assert.deepEqual([text(end), end.errors], ['data', 'bad\n']);
});

test('a child that does not read its input', async () => {
  assert.equal((await shell('exit 0', { input: Buffer.alloc(10) })).deaf, false);
  assert.equal((await shell('exit 0', { input: Buffer.alloc(1 << 20) })).deaf, true);
  assert.equal(text(await shell('cat; echo end')), 'end\n', 'without input it is at its end');
});

test('output is bounded, and what gives more is ended', async () => {
  const end = await shell('printf 12345', { limit: 5 });
  assert.equal(text(end), '12345');
  const words = failsWith(/^it: wrote more than the 5 bytes/);
  await assert.rejects(shell('printf 123456', { limit: 5 }), words);
  await assert.rejects(shell('yes', { limit: 5 }), words);
  const { errors } = await shell('yes | head -c 1000000 >&2');
  assert.equal(errors.length, 1 << 16);
});

test('a program that cannot be run', async t => {
  const folder = temporaryFolder(t);
  const options = { name: 'it', variables: {}, limit: 1 };
  await assert.rejects(runChild(join(folder, 'none'), [], options), failsWith(/it: .*not there/));
  await assert.rejects(runChild(folder, [], options), failsWith(/it: .*chmod \+x/));
});

test('a child that is ended by a signal', async () => {
  await assert.rejects(shell('kill -9 $$'), failsWith(/^it: was ended by SIGKILL$/));
});

test('a hanging child is ended with what it has started when nobody waits', async t => {
  const controller = new AbortController();
  const { signal } = controller;
  const pidFile = join(temporaryFolder(t), 'pid');
  const asked = shell(`sleep 1000 & echo $! >${pidFile}; wait`, { signal });
  controller.abort();
  await assert.rejects(asked, failsWith(/SIGKILL/));
  assert.ok(await gone(Number(readFileSync(pidFile, 'utf8'))));
});

test('a child that was given up may end by itself', async () => {
  const controller = new AbortController();
  const asked = shell('echo done', { signal: controller.signal });
  controller.abort();
  assert.equal(text(await asked), 'done\n');
});

test('those that a child leaves behind do not hold it up', async () => {
  const end = await shell('sleep 1000 & echo $!');
  const pid = Number(text(end));
  assert.ok(pid > 0);
  process.kill(pid, 'SIGKILL');
  assert.ok(await gone(pid));
});
