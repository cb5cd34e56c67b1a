/** Peers that share memory and lie about what is there, or change it at the wrong moment. */
import assert from 'node:assert/strict';
import { closeSync, mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import type { BlockDevice } from '../../src/block/device.ts';
import { BlockError } from '../../src/block/errors.ts';
import type { NbdClient } from '../../src/client/client.ts';
import { connect } from '../../src/client/connect.ts';
import { Server } from '../../src/server/server.ts';
import { sparseStore } from '../../src/stores/sparse.ts';
import type { Random } from '../../src/testing/model.ts';
import { join as bytesOf, u32, u64 } from '../peer/bytes.ts';
import { ScriptedClient } from '../peer/scripted-client.ts';
import { ScriptedServer } from '../peer/scripted-server.ts';
import {
  hasMemfd,
  memoryOf,
  SHARED,
  SHARED_DATA,
  share,
  type TestMemory,
  takeMemory,
} from '../peer/shared-memory.ts';
import { Wire } from '../peer/wire.ts';
import { EDGES, fuzz, mutate } from './fuzz.ts';

const SIZE = 1 << 20;
const MEMORY = 1 << 19;

const folder = mkdtempSync(join(tmpdir(), 'nbdpipe-fuzz-'));
after(() => rmSync(folder, { recursive: true }));

/** A disk whose answers come at once or later, with memory of its own or lent. */
function someDisk(random: Random): BlockDevice {
  const { writeBuffer, ...disk } = sparseStore(BigInt(SIZE));
  const opaque = random.below(2) === 1;
  const direct = writeBuffer && random.below(2) ? { writeBuffer } : {};
  if (random.below(2)) return { ...disk, ...direct, opaque };
  return {
    ...disk,
    opaque,
    read: async (offset, length, options) => {
      const memory = options!.memory!(length);
      await new Promise(setImmediate);
      let at = 0;
      for (const view of [await disk.read(offset, length)].flat()) {
        memory.set(view, at);
        at += view.length;
      }
      return memory;
    },
    write: async (offset, data) => {
      await new Promise(setImmediate);
      await disk.write!(offset, data);
    },
  };
}

/** Writes and reads against what should be there. */
async function honest(client: NbdClient, random: Random): Promise<void> {
  const model = Buffer.alloc(SIZE);
  for (let count = 0; count < 20; count++) {
    const offset = random.below(SIZE);
    const length = 1 + random.below(Math.min(200_000, SIZE - offset));
    if (random.below(2)) {
      const data = Buffer.alloc(length, 1 + random.below(255));
      await client.write!(BigInt(offset), data);
      data.copy(model, offset);
    } else {
      const data = await client.read(BigInt(offset), length);
      assert.ok(data.equals(model.subarray(offset, offset + length)), `${length} at ${offset}`);
    }
  }
}

/** Asks for anything anywhere, and changes the memory meanwhile. */
async function hostile(path: string, random: Random, memory: TestMemory): Promise<void> {
  const wire = await Wire.dial(path);
  const client = new ScriptedClient(wire);
  await client.greet();
  await client.extendedHeaders();
  await share(client, [memory.fd], MEMORY);
  await client.go('hostile');
  const near = (edge: number) => Math.max(0, edge - 5000 + random.below(10_000));
  for (let count = 0; count < 30; count++) {
    const place = [random.below(MEMORY), near(MEMORY), EDGES[random.below(EDGES.length)]!][
      random.below(3)
    ]!;
    const ask = client.encode({
      type: random.below(3) ? random.below(2) : random.below(9),
      flags: random.below(4) ? SHARED : SHARED | (1 << random.below(16)),
      offset: BigInt(random.below(SIZE)),
      length: 1 + random.below(150_000),
      place,
    });
    wire.send(random.below(20) ? ask : mutate(ask, random));
    memory.put(random.below(MEMORY - 5000), Buffer.alloc(5000, count));
    if (random.below(3) === 0) await new Promise(setImmediate);
  }
  if (random.below(2)) wire.finish();
  else wire.hangUp();
  await wire.end();
}

let count = 0;

if (hasMemfd()) {
  fuzz(
    'a server of a client that changes its memory',
    async random => {
      const disks = { '': someDisk(random), hostile: someDisk(random) };
      const open = ({ exportName }: { exportName: string }) =>
        disks[exportName as keyof typeof disks];
      await using server = new Server({ source: { open }, threads: 1 + random.below(16) });
      const path = join(folder, `${++count}`);
      await server.listen({ path });
      const memory = memoryOf(MEMORY);
      try {
        await using client = await connect(`nbd+unix:///?socket=${path}`, { sharedMemory: true });
        await Promise.all([
          honest(client, random),
          hostile(path, random, memory),
          hostile(path, random, memory),
        ]);
      } finally {
        closeSync(memory.fd);
      }
    },
    { share: 0.5 },
  );

  fuzz(
    'a client of a server that lies about memory',
    async random => {
      const path = join(folder, `${++count}`);
      const listener = net.createServer(
        socket => void lie(new Wire(socket), random).catch(() => {}),
      );
      listener.listen(path);
      try {
        const client = await connect(`nbd+unix:///?socket=${path}`, { sharedMemory: true });
        const requests = Array.from({ length: 10 }, () => {
          const length = 1 + random.below(100_000);
          return random.below(3)
            ? client.read(BigInt(random.below(1000)), length)
            : client.write!(5n, Buffer.alloc(length));
        });
        for (const { status, reason } of (await Promise.allSettled(requests)) as {
          status: string;
          reason?: unknown;
        }[]) {
          assert.ok(status === 'fulfilled' || reason instanceof BlockError, String(reason));
        }
        client.abort();
      } finally {
        listener.close();
      }
    },
    { share: 0.5 },
  );
}

/** Answers with chunks that are mostly right. */
async function lie(wire: Wire, random: Random): Promise<void> {
  const server = new ScriptedServer(wire);
  const memory = await takeMemory(server);
  for (let answers = 0; answers < 10; answers++) {
    const asked = await server.request();
    const { length, offset, type } = asked;
    const off = random.below(8) === 0 ? EDGES[random.below(EDGES.length)]! : 0;
    const isShared = (asked.flags & SHARED) !== 0 || random.below(20) === 0;
    if (memory && isShared) memory.view(0, 1000).fill(answers);
    if (type !== 0) server.chunk(asked, random.below(20) ? 0 : SHARED_DATA);
    else if (isShared) {
      const half = Math.ceil(length / 2);
      server.chunk(asked, SHARED_DATA, bytesOf(u64(offset), u32(half)), { done: false });
      const rest = bytesOf(u64(offset + BigInt(half + off)), u32(length - half));
      server.chunk(asked, [SHARED_DATA, 2][random.below(2)]!, rest);
    } else server.chunk(asked, 1, bytesOf(u64(offset), Buffer.alloc(length)));
  }
  wire.hangUp();
}
