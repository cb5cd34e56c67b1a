import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, constants, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as later } from 'node:timers/promises';
import { REQUEST, watchedSource } from '../../../test/contract/open.ts';
import { pipeClosed } from './events.ts';

const folder = mkdtempSync(join(tmpdir(), 'nbdpipe-exitwhen-'));
after(() => rmSync(folder, { recursive: true }));

/** The server ends once `act` was done, but not while a client is connected. */
async function endsAfter(parameter: string, act: () => unknown) {
  const { source, notes } = await watchedSource('memory 1M', `exitwhen ${parameter}`);
  await source.preconnect!(REQUEST.peer);
  const client = await source.open(REQUEST);
  await act();
  await assert.rejects(async () => await source.preconnect!(REQUEST.peer), {
    errno: 'ESHUTDOWN',
    message: 'exitwhen: nbdkit is exiting: rejecting new connection',
  });
  assert.ok(!notes.includes('shutdown'));
  await client.close!();
  for (let round = 0; !notes.includes('shutdown') && round < 100; round++) await later(10);
  await source.close!();
  return notes.filter(note => note !== 'shutdown');
}

const EXITING = 'exitwhen: exiting on last client connection';

test('a file is created or deleted', async () => {
  const file = join(folder, 'file');
  const create = () => writeFileSync(file, '');
  assert.deepEqual(await endsAfter(`exit-when-file-created=${file}`, create), [
    `exit-when-file-created: detected ${file} created`,
    EXITING,
  ]);
  assert.deepEqual(await endsAfter(`exit-when-file-deleted=${file}`, () => rmSync(file)), [
    `exit-when-file-deleted: detected ${file} deleted`,
    EXITING,
  ]);
});

test('a process has ended', async () => {
  const child = spawn('sleep', ['60']);
  const end = async () => {
    child.kill();
    await once(child, 'exit');
  };
  assert.deepEqual(await endsAfter(`exit-when-process-exits=${child.pid}`, end), [
    'exit-when-process-exits: detected process exit',
    EXITING,
  ]);
  await assert.rejects(watchedSource('memory 1M', `exitwhen exit-when-pid-exits=${child.pid}`), {
    name: 'UsageError',
  });
});

test('a script says so', async () => {
  const file = join(folder, 'said');
  const script = `exit-when-script=test\t-f\t${file}\t&&exit\t88;true`;
  const create = () => writeFileSync(file, '');
  assert.deepEqual(await endsAfter(script, create), [
    'exit-when-script: detected scripted event',
    EXITING,
  ]);
});

test('a script that fails is a warning', async () => {
  const { source, notes } = await watchedSource('memory 1M', 'exitwhen exit-when-script=false');
  assert.deepEqual(notes, ['exit-when-script: ended with 1: expected 0 or 88']);
  await source.close!();
});

test('what has happened before ends the server at once', async () => {
  const { source, notes } = await watchedSource('memory 1M', `exitwhen exit-when-file-created=/`);
  assert.equal(notes.at(-1), 'shutdown');
  await source.close!();
});

test('the other end of a pipe is closed', { skip: process.platform !== 'linux' }, async () => {
  const path = join(folder, 'pipe');
  execFileSync('mkfifo', [path]);
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const writer = openSync(path, 'w');
  const event = pipeClosed(reader);
  assert.equal(await event(), undefined);
  closeSync(writer);
  assert.equal(await event(), 'exit-when-pipe-closed: detected pipe closed');
  closeSync(reader);
  assert.throws(() => pipeClosed(9999), { message: /invalid file descriptor 9999/ });
});
