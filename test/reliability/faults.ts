/** Clients and servers that are ended in the middle, and disks that are full. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { UNTORN } from '../../src/block/device.ts';
import { milliseconds, type Scenario } from './scenario.ts';
import { ServerProcess } from './server.ts';

const SIZE = 1 << 24;
const WRITE = 1 << 18;
/** Requests of one client at the same time. */
const DEPTH = 8;
const LIBRARY = resolve(import.meta.dirname, '../../dist/index.cjs');

/** A client that fills the disk again and again, each time with the next byte, many writes at once. */
const WRITER = `
  const { connect } = require(process.argv[1]);
  connect(process.argv[2]).then(async client => {
    console.log('writing');
    for (let byte = 1; ; byte = byte % 255 + 1) {
      const writes = [];
      for (let at = 0; at < ${SIZE}; at += ${WRITE}) {
        writes.push(client.write(BigInt(at), Buffer.alloc(${WRITE}, byte)));
      }
      await Promise.all(writes);
    }
  });`;

/** Blocks that hold more than one of the writers' bytes. */
function tornBlocks(bytes: Buffer): number {
  let torn = 0;
  for (let at = 0; at < bytes.length; at += UNTORN) {
    const block = bytes.subarray(at, at + UNTORN);
    if (!block.equals(Buffer.alloc(block.length, block[0]))) torn += 1;
  }
  return torn;
}

export const killed: Scenario = {
  name: 'a client killed in mid-write',
  async run({ random, folder, more, round }) {
    writeFileSync(join(folder, 'disk'), '');
    truncateSync(join(folder, 'disk'), SIZE);
    const servers = [
      await ServerProcess.start(folder, ['-U', 'one', 'memory', `${SIZE}`]),
      await ServerProcess.start(folder, ['-U', 'other', 'file', 'disk']),
    ];
    let blocks = 0;
    while (more()) {
      round();
      for (const server of servers) {
        await killWriter(server, random.below(60));
        blocks += SIZE / UNTORN;
      }
    }
    const longest = Math.max(...servers.map(server => server.longest));
    for (const server of servers) await server.endWell();
    const looked = `no block of ${UNTORN} bytes was torn, of ${blocks.toLocaleString('en')} looked at`;
    return `${looked}; the next client is served in ${milliseconds(longest)} at most`;
  },
};

async function killWriter(server: ServerProcess, after: number): Promise<void> {
  await server.serves();
  const { descriptors } = server;
  const writer = spawn(process.execPath, ['-e', WRITER, LIBRARY, server.uri], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(writer.stdout!, 'data');
  await delay(after);
  writer.kill('SIGKILL');
  await once(writer, 'exit');
  await server.serves();
  await server.settles(descriptors);
  const client = await server.connect();
  const bytes = await client.read(0n, SIZE);
  await client.close();
  assert.equal(tornBlocks(bytes), 0, 'blocks are torn');
}

export const terminated: Scenario = {
  name: 'SIGTERM in mid-request',
  async run({ random, folder, more, round }) {
    const path = join(folder, 'disk');
    let [writes, longest] = [0, 0];
    while (more()) {
      round();
      writeFileSync(path, '');
      truncateSync(path, SIZE);
      const server = await ServerProcess.start(folder, ['-U', 'socket', 'file', 'disk']);
      const clients = await Promise.all(Array.from({ length: 4 }, () => server.connect()));
      const acknowledged = new Map<number, number>();
      const work = clients.map(async (client, index) => {
        const write = async (at: number) => {
          const byte = 1 + random.below(255);
          await client.write!(BigInt(at * UNTORN), Buffer.alloc(UNTORN, byte));
          acknowledged.set(at, byte);
        };
        for (let at = index; at < SIZE / UNTORN; at += clients.length * DEPTH) {
          const all = Array.from({ length: DEPTH }, (_, more) => at + more * clients.length);
          await Promise.all(all.map(write));
        }
      });
      const outcome = Promise.allSettled(work);
      await delay(random.below(150));
      const { status, took } = await server.end();
      await outcome;
      await Promise.all(clients.map(client => client.close()));
      assert.equal(status, 0, server.said);
      assert.equal(server.said, '');
      assert.equal(existsSync(join(folder, 'socket')), false, 'the socket is gone');
      const bytes = readFileSync(path);
      for (const [at, byte] of acknowledged) {
        const block = bytes.subarray(at * UNTORN, (at + 1) * UNTORN);
        assert.ok(block.equals(Buffer.alloc(UNTORN, byte)), `block ${at} was acknowledged`);
      }
      assert.equal(tornBlocks(bytes), 0, 'blocks are torn');
      writes += acknowledged.size;
      longest = Math.max(longest, took);
    }
    const kept = `all ${writes.toLocaleString('en')} writes that were acknowledged are in the file`;
    return `${kept}; exit status 0 within ${milliseconds(longest)}`;
  },
};

/** A folder with room for 4 MiB, if the system lets us have one. */
function smallFolder(folder: string): string | undefined {
  const path = join(folder, 'small');
  mkdirSync(path);
  const words = ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', path];
  return spawnSync('mount', words).status === 0 ? path : undefined;
}

export const full: Scenario = {
  name: 'a full disk',
  async run({ folder, more, round }) {
    const small = smallFolder(folder);
    // In blocks of 512 bytes: a file ends at 4 MiB.
    const places = [{ place: folder, before: 'ulimit -f 8192' }];
    if (small !== undefined) places.push({ place: small, before: ':' });
    const servers: ServerProcess[] = [];
    let refused = 0;
    try {
      for (const { place, before } of places) {
        writeFileSync(join(place, 'disk'), '');
        truncateSync(join(place, 'disk'), SIZE);
        servers.push(await ServerProcess.start(place, ['-U', '-', 'file', 'disk'], before));
      }
      while (more()) {
        round();
        for (const server of servers) await fill(server);
        refused += servers.length;
      }
      for (const server of servers) await server.endWell();
    } finally {
      for (const server of servers) if (server.alive) await server.end('SIGKILL');
      if (small !== undefined) spawnSync('umount', [small]);
    }
    const where = `a limit for files${small === undefined ? '' : ' and a small tmpfs'}`;
    const then = 'what was written before is there, and writes go on when there is room';
    return `${where}: ENOSPC to the client ${refused} times; ${then}`;
  },
};

/** Writes until there is no room, and gives it back. */
async function fill(server: ServerProcess): Promise<void> {
  const piece = Buffer.alloc(65536, 7);
  const client = await server.connect();
  let written = 0;
  const writeOn = async () => {
    for (; written < SIZE; written += piece.length) await client.write!(BigInt(written), piece);
  };
  await assert.rejects(writeOn, { errno: 'ENOSPC' });
  const bytes = await client.read(0n, written);
  assert.ok(bytes.equals(Buffer.alloc(written, 7)), 'what was written is there');
  await client.trim!(0n, SIZE);
  await client.write!(0n, piece);
  await client.close();
  await server.serves();
}
