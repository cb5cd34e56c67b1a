import assert from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join as joinPath } from 'node:path';
import { type TestContext, test } from 'node:test';
import { Command, Option } from '../../src/protocol/constants.ts';
import { infoRequest, ScriptedClient } from '../peer/scripted-client.ts';
import { temporaryFolder, Wire } from '../peer/wire.ts';

const MIB = 1 << 20;
const SIZE = 64 * MIB;
/** Of one request; together the requests of a client ask for 100 GiB. */
const LENGTH = 32 * MIB;
const REQUESTS = 3200;

interface Victim {
  readonly path: string;
  /** The most memory that the server's process has used, in bytes. */
  maxMemory(): Promise<number>;
}

async function startVictim(t: TestContext): Promise<Victim> {
  const folder = temporaryFolder(t);
  const path = joinPath(folder, 'socket');
  const image = joinPath(folder, 'image');
  writeFileSync(image, Buffer.alloc(SIZE, 'what every client wants to read'));
  const child: ChildProcess = fork(joinPath(import.meta.dirname, 'victim.ts'), [path, image], {
    execArgv: ['--import', import.meta.resolve('tsx')],
  });
  t.after(() => child.kill());
  await once(child, 'message');
  const maxMemory = async () => {
    child.send('memory');
    const [bytes] = await once(child, 'message');
    return bytes as number;
  };
  return { path, maxMemory };
}

async function dial(path: string): Promise<ScriptedClient> {
  return new ScriptedClient(await Wire.dial(path));
}

/** Sends requests for far more than anyone can hold, and reads none of the answers. */
async function attack(
  path: string,
  name: string,
  structured: boolean,
  requests = REQUESTS,
): Promise<ScriptedClient> {
  const client = await dial(path);
  await client.greet();
  if (structured) await client.structured();
  await client.go(name);
  client.wire.stopReading();
  const ask = client.encode({ type: Command.read, length: LENGTH });
  client.wire.send(...Array<Buffer>(requests).fill(ask));
  return client;
}

/** The server serves someone who behaves, in several rounds. */
async function serves(path: string): Promise<void> {
  const client = await dial(path);
  await client.greet();
  await client.go('file');
  for (let round = 0; round < 20; round++) {
    client.request({ type: Command.read, offset: BigInt(round * MIB), length: MIB });
    assert.equal((await client.answer(MIB)).payload.length, MIB);
    await new Promise(resolve => setTimeout(resolve, 10));
  }
  client.wire.hangUp();
}

for (const name of ['memory', 'file']) {
  for (const structured of [false, true]) {
    const replies = structured ? 'structured' : 'simple';
    test(`a client that asks for 100 GiB of ${name} in ${replies} replies, and reads nothing`, async t => {
      const { path, maxMemory } = await startVictim(t);
      const client = await attack(path, name, structured);
      await serves(path);
      const used = await maxMemory();
      assert.ok(used < 256 * MIB, `${Math.round(used / MIB)} MiB`);
      client.wire.hangUp();
    });
  }
}

test('five hundred such clients', async t => {
  const { path, maxMemory } = await startVictim(t);
  const clients: ScriptedClient[] = [];
  t.after(() => {
    for (const client of clients) client.wire.hangUp();
  });
  for (let count = 0; count < 500; count++) {
    clients.push(await attack(path, count % 2 ? 'memory' : 'file', count % 4 < 2, 320));
  }
  await serves(path);
  const used = await maxMemory();
  assert.ok(used < 1024 * MIB, `${Math.round(used / MIB)} MiB`);
});

test('a client that asks for lists and information without end, and reads nothing', async t => {
  const { path, maxMemory } = await startVictim(t);
  const client = await dial(path);
  await client.greet();
  client.wire.stopReading();
  const info = infoRequest('memory', 1, 2, 3);
  for (let count = 0; count < 100_000; count++) {
    client.option(Option.list);
    if (count % 10 === 0) client.option(Option.info, info);
  }
  await serves(path);
  const used = await maxMemory();
  assert.ok(used < 256 * MIB, `${Math.round(used / MIB)} MiB`);
  client.wire.hangUp();
});

test('writes whose payloads never come', async t => {
  const { path, maxMemory } = await startVictim(t);
  const clients: ScriptedClient[] = [];
  for (let count = 0; count < 100; count++) {
    const client = await dial(path);
    clients.push(client);
    await client.greet();
    await client.go('file');
    client.request({ type: Command.write, length: LENGTH });
    client.wire.send(Buffer.alloc(1000));
  }
  await serves(path);
  const used = await maxMemory();
  assert.ok(used < 512 * MIB, `${Math.round(used / MIB)} MiB`);
  for (const client of clients) client.wire.hangUp();
});
