import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { join, u32, u64 } from '../../test/peer/bytes.ts';
import { ScriptedServer } from '../../test/peer/scripted-server.ts';
import {
  hasMemfd,
  SHARED,
  SHARED_DATA,
  SHARED_MEMORY,
  type Taking,
  takeMemory,
} from '../../test/peer/shared-memory.ts';
import { scriptedServer } from '../../test/peer/wire.ts';
import type { Mapping } from '../posix/mapping.ts';
import type { NbdClient } from './client.ts';
import { connect } from './connect.ts';
import { SHORTEST_SHARED, SharedMemory } from './shared-memory.ts';

const LENGTH = 100_000;
const MEMORY = 1 << 20;
const skip = !hasMemfd() && 'there is no shared memory here';

/** A client, and a server that follows the script once memory is shared. */
async function sharing(
  t: TestContext,
  script: (server: ScriptedServer, memory: Mapping | undefined) => Promise<void>,
  sharedMemory: boolean | SharedMemory = true,
  taking?: Taking,
): Promise<NbdClient> {
  const path = await scriptedServer(t, async wire => {
    const server = new ScriptedServer(wire);
    await script(server, await takeMemory(server, taking));
  });
  const client = await connect(`nbd+unix:///?socket=${path}`, { sharedMemory });
  t.after(() => client.abort());
  return client;
}

const run = (start: number, length: number) => join(u64(start), u32(length));

describe('memory shared with a server', { skip }, () => {
  test('reads are there, in several runs and holes, and stay as they were', async t => {
    const client = await sharing(t, async (server, memory) => {
      const asked = await server.request();
      assert.equal(asked.flags, SHARED);
      const slot = memory!.view(asked.place, LENGTH).fill('x');
      server.chunk(asked, SHARED_DATA, run(1000 + 60_000, 40_000), { done: false });
      server.chunk(asked, 2, run(1000, 50_000), { done: false });
      // Not everything need be in the memory.
      server.chunk(asked, 1, join(u64(51_000), Buffer.alloc(10_000, 'y')));
      await server.request();
      slot.fill('z');
    });
    const bytes = await client.read(1000n, LENGTH);
    const expected = Buffer.concat([
      Buffer.alloc(50_000),
      Buffer.alloc(10_000, 'y'),
      Buffer.alloc(40_000, 'x'),
    ]);
    assert.ok(bytes.equals(expected), 'read');
    Promise.resolve(client.flush!()).catch(() => {});
    await new Promise(resolve => setTimeout(resolve, 20));
    assert.ok(bytes.equals(expected), 'kept');
  });

  test('writes are there, and short ones on the socket', async t => {
    const client = await sharing(t, async (server, memory) => {
      for (const length of [LENGTH, SHORTEST_SHARED - 1]) {
        const asked = await server.request();
        const shared = length === LENGTH;
        assert.equal(asked.flags, shared ? SHARED : 32);
        const payload = shared ? memory!.view(asked.place, length) : asked.payload;
        assert.ok(payload.equals(Buffer.alloc(length, 'w')), 'written');
        server.chunk(asked, 0);
      }
    });
    await client.write!(0n, Buffer.alloc(LENGTH, 'w'));
    await client.write!(0n, Buffer.alloc(SHORTEST_SHARED - 1, 'w'));
  });

  test('what has no room in the memory goes by the socket', async t => {
    const counts = { shared: 0, plain: 0 };
    const client = await sharing(
      t,
      async (server, memory) => {
        for (let count = 0; count < 30; count++) {
          const asked = await server.request();
          const isShared = (asked.flags & SHARED) !== 0;
          counts[isShared ? 'shared' : 'plain'] += 1;
          if (isShared) memory!.view(asked.place, asked.length).fill(1);
          if (isShared) server.chunk(asked, SHARED_DATA, run(0, asked.length));
          else server.chunk(asked, 1, join(u64(0), Buffer.alloc(asked.length, 1)));
        }
      },
      SharedMemory.create(MEMORY)!,
    );
    // What is read into is elsewhere, and there are 16 blocks of 64 KiB.
    const elsewhere = Array.from({ length: 30 }, () => Buffer.alloc(LENGTH));
    const reads = elsewhere.map(memory => client.read(0n, LENGTH, { memory: () => memory }));
    for (const bytes of await Promise.all(reads)) {
      assert.ok(Buffer.alloc(LENGTH, 1).equals(bytes as Buffer), 'read');
    }
    assert.deepEqual(counts, { shared: 8, plain: 22 });
  });

  test('memory of the caller: read into and written from where it is', async t => {
    const memory = SharedMemory.create(MEMORY)!;
    const client = await sharing(
      t,
      async (server, theirs) => {
        const [read, write] = [await server.request(), await server.request()];
        assert.deepEqual([read.place, write.place], [memory.placeOf(into), memory.placeOf(from)]);
        theirs!.view(read.place, LENGTH).fill('r');
        server.chunk(write, 0);
        server.chunk(read, SHARED_DATA, run(0, LENGTH));
      },
      memory,
    );
    const [into, from] = [memory.take(LENGTH)!, memory.take(LENGTH)!];
    const reading = client.read(0n, LENGTH, { memory: () => into });
    await client.write!(0n, from);
    assert.equal(await reading, into);
    assert.ok(into.equals(Buffer.alloc(LENGTH, 'r')), 'read');
    memory.close();
  });

  test('a request that is given up keeps its memory until it is answered', async t => {
    const memory = SharedMemory.create(MEMORY)!;
    const reason = new Error('no more');
    let answer = () => {};
    const answered = new Promise<void>(resolve => {
      answer = resolve;
    });
    let arrive = () => {};
    const arrived = new Promise<void>(resolve => {
      arrive = resolve;
    });
    const client = await sharing(
      t,
      async (server, theirs) => {
        const first = await server.request();
        const second = await server.request();
        arrive();
        await answered;
        for (const asked of [first, second]) {
          theirs!.view(asked.place, LENGTH).fill('late');
          server.chunk(asked, SHARED_DATA, run(0, LENGTH));
        }
        const next = await server.request();
        assert.equal(next.place, second.place);
        server.chunk(next, 2, run(0, LENGTH));
      },
      memory,
    );
    const controller = new AbortController();
    const { signal } = controller;
    const caller = memory.take(LENGTH)!;
    let settled = false;
    const given = client.read(0n, LENGTH, { memory: () => caller, signal });
    given
      .catch(() => {})
      .finally(() => {
        settled = true;
      });
    const own = client.read(0n, LENGTH, { signal });
    await arrived;
    controller.abort(reason);
    await assert.rejects(own, reason);
    assert.equal(settled, false);
    answer();
    await assert.rejects(given, reason);
    assert.ok((await client.read(0n, LENGTH)).equals(Buffer.alloc(LENGTH)), 'it goes on');
  });

  test('a server that dies', async t => {
    const client = await sharing(t, async server => {
      await server.request();
      await server.request();
      server.wire.hangUp();
    });
    const reads = [client.read(0n, LENGTH), client.read(0n, LENGTH), client.read(0n, 10)];
    for (const read of reads) await assert.rejects(read, { errno: 'ECONNRESET' });
    await assert.rejects(client.read(0n, LENGTH), { errno: 'ECONNRESET' });
  });
});

describe('a server that lies about shared memory', { skip }, () => {
  const lies: Readonly<Record<string, (server: ScriptedServer) => Promise<void>>> = {
    'data for a read by the socket': async server => {
      const [, short] = [await server.request(), await server.request()];
      server.chunk(short, SHARED_DATA, run(0, 10));
    },
    'data before the request': async server => {
      server.chunk(await server.request(), SHARED_DATA, run(999, 10));
    },
    'data past the request': async server => {
      server.chunk(await server.request(), SHARED_DATA, run(1000, LENGTH + 1));
    },
    'data twice': async server => {
      const asked = await server.request();
      server.chunk(asked, SHARED_DATA, run(1000, 10), { done: false });
      server.chunk(asked, SHARED_DATA, run(1000, 10), { done: false });
      server.chunk(asked, SHARED_DATA, run(1020, LENGTH - 20));
    },
    'no data': async server => {
      server.chunk(await server.request(), 0);
    },
    'a chunk that is too long': async server => {
      server.chunk(await server.request(), SHARED_DATA, join(run(1000, LENGTH), 'x'));
    },
    'a chunk that is too short': async server => {
      server.chunk(await server.request(), SHARED_DATA, u64(1000));
    },
    'data for a flush': async server => {
      await server.request();
      await server.request();
      server.chunk(await server.request(), SHARED_DATA, run(0, 10));
    },
  };
  for (const [lie, script] of Object.entries(lies)) {
    test(lie, async t => {
      const client = await sharing(t, script);
      const requests = [client.read(1000n, LENGTH), client.read(0n, 10), client.flush!()];
      const failed = await Promise.allSettled(requests);
      for (const each of failed) {
        assert.equal(each.status === 'rejected' && each.reason.errno, 'EPROTO');
      }
    });
  }

  test('it takes more than there is, nothing, or asks twice', async t => {
    for (const takes of [2 ** 40, 2n ** 64n - 1n, 0]) {
      await assert.rejects(
        sharing(t, async () => {}, true, { takes }),
        { errno: 'EPROTO' },
      );
    }
    const path = await scriptedServer(t, async wire => {
      const server = new ScriptedServer(wire);
      await server.greet();
      for (;;) {
        const { option } = await server.option();
        if (option === SHARED_MEMORY) break;
        server.reply(option, 1);
      }
      server.reply(SHARED_MEMORY, SHARED_MEMORY, u64(4096));
      server.reply(SHARED_MEMORY, SHARED_MEMORY, u64(4096));
    });
    const connecting = connect(`nbd+unix:///?socket=${path}`, { sharedMemory: true });
    await assert.rejects(connecting, { errno: 'EPROTO' });
  });

  test('it refuses what it has asked for: the socket is there', async t => {
    const says = 0x80000003;
    const script = async (server: ScriptedServer) => {
      const asked = await server.request();
      server.chunk(asked, 1, join(u64(0), Buffer.alloc(LENGTH, 's')));
    };
    const client = await sharing(t, script, true, { says });
    assert.equal(client.agreement.sharedMemory, 0);
    assert.ok((await client.read(0n, LENGTH)).equals(Buffer.alloc(LENGTH, 's')), 'read');
  });
});
