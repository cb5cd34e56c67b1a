import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { filterSource, REQUEST, watchedSource } from '../../../test/contract/open.ts';

const folder = mkdtempSync(join(tmpdir(), 'nbdpipe-pause-'));
after(() => rmSync(folder, { recursive: true }));

async function controlled(name: string) {
  const path = join(folder, name);
  const { source, notes } = await watchedSource('memory 1M', `pause pause-control=${path}`);
  const socket = connect(path);
  await once(socket, 'connect');
  /** Sends commands and waits for as many answers. */
  const ask = async (commands: string, answers: number) => {
    socket.write(commands);
    let text = '';
    while (text.length < answers) text += String((await once(socket, 'data'))[0]);
    return text;
  };
  return { path, source, notes, socket, ask };
}

test('requests wait from P to R', async () => {
  const { source, ask, socket, notes, path } = await controlled('simple');
  const device = await source.open(REQUEST);
  await device.read(0n, 1);
  assert.equal(await ask('p', 1), 'P');
  let read = false;
  const reading = Promise.resolve(device.read(0n, 1)).then(() => {
    read = true;
  });
  const gone = new AbortController();
  const given = Promise.resolve(device.write!(0n, Buffer.of(1), { signal: gone.signal }));
  gone.abort(new Error('gone'));
  await assert.rejects(given, /gone/);
  assert.equal(read, false);
  assert.equal(await ask('\n p\tr ?', 3), 'PRX');
  await reading;
  await device.flush!();
  assert.equal(await ask('r', 1), 'R');
  assert.deepEqual(notes, [
    'pause: pausing, waiting for requests to complete',
    'pause: paused',
    'pause: resumed',
  ]);
  socket.destroy();
  await device.close?.();
  await source.close!();
  assert.equal(existsSync(path), false, 'the socket is removed');
});

test('P is answered when requests under way have ended', async () => {
  const path = join(folder, 'late');
  let answer: (() => void) | undefined;
  const below = {
    open: () => ({
      size: 1n,
      read: () =>
        new Promise<Buffer>(resolve => {
          answer = () => resolve(Buffer.of(1));
        }),
    }),
  };
  const source = await filterSource(below, 'pause', `pause-control=${path}`);
  const device = await source.open(REQUEST);
  const reading = device.read(0n, 1);
  const socket = connect(path);
  await once(socket, 'connect');
  const answered: string[] = [];
  socket.on('data', data => answered.push(String(data)));
  socket.write('p');
  await new Promise(resolve => setTimeout(resolve, 20));
  assert.deepEqual(answered, []);
  answer!();
  await reading;
  if (answered.length === 0) await once(socket, 'data');
  assert.deepEqual(answered, ['P']);
  socket.destroy();
  await source.close!();
});

test('paths that no socket can have', async () => {
  for (const [path, message] of [
    [join(folder, 'x'.repeat(120)), /^pause-control socket path too long: length \d+ > max 107/],
    [join(folder, 'no/such/folder'), /^pause-control: /],
  ] as const) {
    await assert.rejects(watchedSource('memory 1M', `pause pause-control=${path}`), {
      name: 'UsageError',
      message,
    });
  }
});
