/**
 * Several clients over sockets, each with a part of one disk of its own: batches of requests that are
 * sent before anything is read, payloads that come slowly, and giant requests, against a model.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import type { BlockDevice } from '../../src/block/device.ts';
import { Command } from '../../src/protocol/constants.ts';
import { Server } from '../../src/server/server.ts';
import { memoryStore } from '../../src/stores/allocator.ts';
import { sparseStore } from '../../src/stores/sparse.ts';
import type { Random } from '../../src/testing/model.ts';
import { ScriptedClient } from '../peer/scripted-client.ts';
import { startThread } from '../peer/thread.ts';
import { Wire } from '../peer/wire.ts';
import { fuzz, pieces } from './fuzz.ts';

const WINDOW = 1 << 20;
const SLOTS = 8;
const SLOT = WINDOW / SLOTS;
const CLIENTS = 3;
const TIB = 1n << 40n;
const FAR = 1n << 39n;
/** Two reads of so much make a connection a busy one, which goes on in another thread. */
const MUCH = 1 << 25;

const folder = mkdtempSync(join(tmpdir(), 'nbdpipe-fuzz-'));
after(() => rmSync(folder, { recursive: true }));

/** What one client does in its part of the disk, and what is there. */
class Player {
  readonly #client: ScriptedClient;
  readonly #random: Random;
  readonly #start: bigint;
  readonly #bytes = Buffer.alloc(WINDOW);

  constructor(client: ScriptedClient, index: number, random: Random) {
    this.#client = client;
    this.#random = random;
    this.#start = BigInt(index * WINDOW);
  }

  /** Up to one request for each part of the window, all on their way before one is answered. */
  async batch(): Promise<void> {
    const random = this.#random;
    const said: Buffer[] = [];
    const reads = new Map<bigint, Buffer>();
    let asked = 0;
    for (let slot = 0; slot < SLOTS; slot++) {
      if (random.below(4) === 0) continue;
      const from = slot * SLOT + random.below(SLOT / 2);
      const length = 1 + random.below(SLOT / 2);
      const cookie = BigInt(++asked);
      const type = [0, 1, 1, Command.trim, Command.writeZeroes][random.below(5)]!;
      const ask = { type, cookie, offset: this.#start + BigInt(from) };
      if (type === Command.read) {
        reads.set(cookie, Buffer.from(this.#bytes.subarray(from, from + length)));
        said.push(this.#client.encode({ ...ask, length }));
      } else if (type === Command.write) {
        const payload = Buffer.alloc(length, 1 + random.below(255));
        payload.copy(this.#bytes, from);
        said.push(this.#client.encode({ ...ask, payload }));
      } else {
        this.#bytes.fill(0, from, from + length);
        said.push(this.#client.encode({ ...ask, length }));
      }
    }
    if (random.below(4) === 0) {
      const giant = { type: Command.writeZeroes, cookie: BigInt(++asked), offset: FAR };
      said.push(this.#client.encode({ ...giant, length: 0xffff0000 }));
    }
    await this.#say(Buffer.concat(said));
    for (let count = 0; count < asked; count++) await this.#answer(reads);
  }

  /** Much traffic. */
  async keepBusy(): Promise<void> {
    for (let count = 0; count < 2; count++) {
      this.#client.request({ type: Command.read, offset: FAR, length: MUCH });
      await this.#client.answer(MUCH);
    }
  }

  async #say(bytes: Buffer): Promise<void> {
    for (const piece of this.#random.below(3) ? [bytes] : pieces(bytes, this.#random)) {
      this.#client.wire.send(piece);
      if (this.#random.below(4) === 0) await new Promise(setImmediate);
    }
  }

  async #answer(reads: ReadonlyMap<bigint, Buffer>): Promise<void> {
    const { cookie, error } = await this.#client.answer();
    assert.equal(error, 0);
    const expected = reads.get(cookie);
    if (!expected) return;
    const bytes = await this.#client.wire.read(expected.length);
    assert.ok(bytes.equals(expected), `a read of ${expected.length} bytes`);
  }

  async check(): Promise<void> {
    this.#client.request({ type: Command.read, offset: this.#start, length: WINDOW });
    const { payload } = await this.#client.answer(WINDOW);
    assert.ok(payload.equals(this.#bytes), 'the whole window');
    this.#client.request({ type: Command.writeZeroes, offset: this.#start, length: WINDOW });
    assert.equal((await this.#client.answer()).error, 0);
  }
}

/** Connections that have gone on in another thread. */
interface Busy {
  moved: number;
}

async function play(server: Server, path: string, random: Random, busy?: Busy): Promise<void> {
  const wires = await Promise.all(Array.from({ length: CLIENTS }, () => Wire.dial(path)));
  await Promise.all(
    wires.map(async (wire, index) => {
      const client = new ScriptedClient(wire);
      await client.greet();
      await client.go();
      const player = new Player(client, index, random);
      if (busy) await player.keepBusy();
      while (busy?.moved === 0) await player.batch();
      for (let count = 1 + random.below(10); count > 0; count--) await player.batch();
      await player.check();
      // The last word may be cut off.
      if (random.below(2)) {
        const late = client.encode({
          type: Command.write,
          offset: FAR,
          payload: Buffer.alloc(99_999),
        });
        wire.send(late.subarray(0, random.below(late.length)));
      }
      wire.hangUp();
    }),
  );
  while (server.clients().length > 0) await new Promise(setImmediate);
}

interface Played {
  readonly disk: () => BlockDevice;
  /** Busy connections go on in other threads. */
  readonly threads?: boolean;
}

const DISKS: Readonly<Record<string, Played>> = {
  'a disk that threads share': { disk: () => memoryStore(TIB, 'sparse') },
  'a disk of several threads': { disk: () => memoryStore(TIB, 'sparse'), threads: true },
  'a disk of one thread': { disk: () => sparseStore(TIB) },
  'a disk without write buffers': {
    disk: () => ({ ...sparseStore(TIB), writeBuffer: () => undefined }),
  },
};

for (const [index, [name, { disk, threads = false }]] of Object.entries(DISKS).entries()) {
  const device = disk();
  const busy = threads ? { moved: 0 } : undefined;
  const server = new Server({
    source: { open: () => device },
    helpers: threads ? { most: 1, start: startThread } : undefined,
    observer: {
      debug: message => {
        if (busy && message.includes('another thread')) busy.moved += 1;
      },
    },
  });
  const path = join(folder, `${index}`);
  const listening = server.listen({ path });
  after(() => server.close());
  fuzz(
    `several clients of ${name}`,
    async random => {
      await listening;
      await play(server, path, random, busy);
    },
    { share: 1 / Object.keys(DISKS).length },
  );
}
