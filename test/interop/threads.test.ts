import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';
import process from 'node:process';
import { type TestContext, test } from 'node:test';
import { contiguous } from '../../src/block/data.ts';
import type { NbdClient } from '../../src/client/client.ts';
import { connect } from '../../src/client/connect.ts';
import { Model, Random } from '../../src/testing/model.ts';
import { isListening } from '../peer/listening.ts';
import { temporaryFolder } from '../peer/wire.ts';

const PROGRAM = resolve(import.meta.dirname, '../../dist/nbdkit.cjs');
const MIB = 1 << 20;
const SIZE = 16 * MIB;
const skip = availableParallelism() < 2 && 'needs two processors';

/** A user's plugin, with the body of `remake`. */
const plugin = (remake: string) => `
import { BlockError, definePlugin, sourceOf, zeroes } from 'nbdpipe/plugin';
const disk = (size: bigint) => ({
  size,
  recipe: { from: size },
  multiConn: true,
  read: (_offset: bigint, length: number) => zeroes(length),
});
export default definePlugin({
  name: 'mine',
  description: 'zeroes',
  parameters: {},
  create: () => sourceOf(() => disk(${SIZE}n)),
  remake: (size: bigint) => ${remake},
});
`;

/** Our nbdkit, verbose, on a socket of its own. */
async function serve(t: TestContext, ...words: readonly string[]) {
  const path = join(temporaryFolder(t), 'socket');
  const untraced = ['control', 'data'].map(what => `-Dnbdkit.backend.${what}path=0`);
  const args = [PROGRAM, '-f', '-v', ...untraced, '-U', path, ...words];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  const closed = once(child, 'close');
  t.after(() => child.kill('SIGKILL'));
  let text = '';
  child.stderr.on('data', bytes => {
    text += bytes;
  });
  while (!isListening(path)) {
    assert.equal(child.exitCode, null, text);
    await new Promise(r => setTimeout(r, 20));
  }
  const said = () => text;
  return { child, closed, said, dial: () => connect(`nbd+unix:///?socket=${path}`) };
}

const moves = (text: string) => text.split('goes on in another thread').length - 1;

/**
 * Reads and checks the whole disk, several requests at a time, until `enough`.
 * @param short bytes that the disk lacks at its end; then its last 8 MiB are left out.
 */
async function readUntil(
  client: NbdClient,
  expected: Buffer,
  enough: () => boolean,
  short = 0,
): Promise<void> {
  const deadline = Date.now() + 30_000;
  while (!enough()) {
    assert.ok(Date.now() < deadline, 'no connection goes on in another thread');
    for (let at = 0; at < SIZE - 8 * short; at += 8 * MIB) {
      const offsets = Array.from({ length: 16 }, (_, index) => at + index * (MIB / 2));
      const parts = await Promise.all(offsets.map(o => client.read(BigInt(o), MIB / 2)));
      for (const [index, part] of parts.entries()) {
        const offset = offsets[index]!;
        const right = expected.subarray(offset, offset + MIB / 2);
        assert.ok(right.equals(contiguous(part)), `bytes at ${offset}`);
      }
    }
  }
}

/** The content is the same before a connection has moved, meanwhile and afterwards. */
async function readEverywhere(
  clients: readonly NbdClient[],
  content: Buffer,
  said: () => string,
): Promise<void> {
  await Promise.all(clients.map(client => readUntil(client, content, () => moves(said()) > 0)));
  await Promise.all(clients.map(client => readUntil(client, content, secondTime())));
  for (const client of clients) await client.close();
}

/** Each does what the model does, in a part of the disk of its own. */
async function checkAll(clients: readonly NbdClient[]): Promise<void> {
  for (const [index, client] of clients.entries()) {
    const window = { offset: BigInt(index * 4 * MIB), length: 2 * MIB };
    const model = new Model(client, window, new Random(index));
    await model.load();
    for (let step = 0; step < 40; step++) await model.step();
    await model.check();
  }
}

function randomFile(t: TestContext): { path: string; content: Buffer } {
  const path = join(temporaryFolder(t), 'disk');
  const content = new Random(1).bytes(MIB);
  // Pieces that differ in where they begin.
  const all = Buffer.concat(
    Array.from({ length: SIZE / MIB }, (_, i) => [
      content.subarray(i),
      content.subarray(0, i),
    ]).flat(),
  );
  writeFileSync(path, all);
  return { path, content: all };
}

test('busy connections are spread over threads, and what they do is what it was', {
  skip,
}, async t => {
  const { path, content } = randomFile(t);
  const { child, closed, said, dial } = await serve(t, 'file', path);
  const clients = await Promise.all([dial(), dial(), dial()]);
  await Promise.all(clients.map(client => readUntil(client, content, () => moves(said()) > 0)));
  await checkAll(clients);
  for (const client of clients) await client.flush!();
  const [first, second, third] = clients as [NbdClient, NbdClient, NbdClient];
  assert.ok(Buffer.from(contiguous(await third.read(0n, SIZE))).equals(readFileSync(path)));
  await first.close();
  second.abort();
  const late = await dial();
  assert.equal(late.size, BigInt(SIZE));
  // The end of the service finds connections in either thread.
  child.kill('SIGTERM');
  const [status] = await closed;
  assert.equal(status, 0, said());
  await assert.rejects(async () => await third.read(0n, 512));
  third.abort();
  late.abort();
});

test('the disk of a connection stays the one that it was opened on', { skip }, async t => {
  const { path, content } = randomFile(t);
  const { said, dial } = await serve(t, 'file', path);
  const clients = await Promise.all([dial(), dial()]);
  writeFileSync(`${path}.new`, Buffer.alloc(SIZE, 1));
  renameSync(`${path}.new`, path);
  await readEverywhere(clients, content, said);
});

test('filters are the same in every thread', { skip }, async t => {
  const { path, content } = randomFile(t);
  const filters = ['exitlast', 'limit', 'exportname', 'nofilter', 'noextents', 'nozero', 'fua'];
  const rest = ['multi-conn', 'blocksize-policy', 'delay', 'checkwrite', 'nocache', 'truncate'];
  const { said, dial } = await serve(
    t,
    ...[...filters, ...rest].map(name => `--filter=${name}`),
    ...['file', path, 'limit=0', 'exportdesc=fixed:x', 'zeromode=emulate'],
    ...['multi-conn-mode=unsafe', 'blocksize-minimum=512', `truncate=${SIZE}`],
  );
  const clients = await Promise.all([dial(), dial()]);
  await readEverywhere(clients, content, said);
});

for (const name of ['pattern', 'random', 'null']) {
  test(`the disk of ${name} is the same in every thread`, { skip }, async t => {
    const { said, dial } = await serve(t, name, `${SIZE}`);
    const clients = await Promise.all([dial(), dial()]);
    const content = Buffer.from(contiguous(await clients[0]!.read(0n, SIZE)));
    await readEverywhere(clients, content, said);
  });
}

test('joined devices are the same in every thread', { skip }, async t => {
  const { path } = randomFile(t);
  const { said, dial } = await serve(t, 'partitioning', path);
  const clients = await Promise.all([dial(), dial()]);
  const content = Buffer.from(contiguous(await clients[0]!.read(0n, SIZE)));
  await readEverywhere(clients, content, said);
});

test('the disk of memory is one and the same in every thread', { skip }, async t => {
  const { said, dial } = await serve(t, 'memory', '64M');
  const clients = await Promise.all([dial(), dial(), dial()]);
  const content = Buffer.concat(Array(SIZE / MIB).fill(new Random(1).bytes(MIB)));
  await clients[0]!.write!(0n, content);
  await Promise.all(clients.map(client => readUntil(client, content, () => moves(said()) > 0)));
  await checkAll(clients);
  const [first, ...others] = await Promise.all(
    clients.map(async client => Buffer.from(contiguous(await client.read(0n, SIZE)))),
  );
  for (const other of others) assert.ok(other.equals(first!));
  for (const client of clients) await client.close();
});

test("a user's plugin is served in several threads too", { skip }, async t => {
  const path = join(temporaryFolder(t), 'mine.ts');
  writeFileSync(path, plugin('disk(size)'));
  const { said, dial } = await serve(t, path);
  const clients = await Promise.all([dial(), dial()]);
  const content = Buffer.alloc(SIZE);
  await readEverywhere(clients, content, said);
});

test('a device that cannot be made again stays where it is', { skip }, async t => {
  const path = join(temporaryFolder(t), 'mine.ts');
  writeFileSync(path, plugin("{ throw new BlockError('EIO', 'not twice'); }"));
  const { child, closed, said, dial } = await serve(t, path);
  const clients = await Promise.all([dial(), dial()]);
  const content = Buffer.alloc(SIZE);
  const refused = () => said().includes('not twice');
  await Promise.all(clients.map(client => readUntil(client, content, refused)));
  await Promise.all(clients.map(client => readUntil(client, content, secondTime())));
  assert.equal(moves(said()), 0);
  for (const client of clients) await client.close();
  child.kill('SIGTERM');
  assert.equal((await closed)[0], 0, said());
});

test('a whole stack goes on in another thread, filters and all', { skip }, async t => {
  const { path, content } = randomFile(t);
  const filters = ['--filter=readonly', '--filter=offset'];
  const { said, dial } = await serve(t, ...filters, 'file', path, 'offset=1M');
  const clients = await Promise.all([dial(), dial()]);
  const part = Buffer.concat([content.subarray(MIB), Buffer.alloc(MIB)]);
  await Promise.all(clients.map(client => readUntil(client, part, () => moves(said()) > 0, MIB)));
  await Promise.all(clients.map(client => readUntil(client, part, secondTime(), MIB)));
  for (const client of clients) {
    assert.equal(client.size, BigInt(SIZE - MIB));
    assert.equal(client.readOnly, true);
    await client.close();
  }
});

test('under a filter that keeps something every connection stays', { skip }, async t => {
  const { path, content } = randomFile(t);
  const logfile = join(temporaryFolder(t), 'log');
  const { said, dial } = await serve(t, '--filter=log', 'file', path, `logfile=${logfile}`);
  const clients = await Promise.all([dial(), dial()]);
  let rounds = 0;
  await Promise.all(clients.map(client => readUntil(client, content, () => ++rounds > 12)));
  assert.equal(moves(said()), 0);
  for (const client of clients) await client.close();
});

/** True from the second time on. */
function secondTime(): () => boolean {
  let asked = false;
  return () => {
    const before = asked;
    asked = true;
    return before;
  };
}
