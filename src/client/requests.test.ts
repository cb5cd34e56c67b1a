import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { join, u16, u32, u64 } from '../../test/peer/bytes.ts';
import {
  type Asked,
  honestUntilRequests,
  type Offer,
  type ScriptedServer,
} from '../../test/peer/scripted-server.ts';
import { isKnownZero, viewsOf, zeroes } from '../block/data.ts';
import { BlockError } from '../block/errors.ts';
import { supportOf } from '../block/support.ts';
import { Reply } from '../protocol/constants.ts';
import type { NbdClient } from './client.ts';
import { connect } from './connect.ts';

type Script = (server: ScriptedServer, asked: Asked) => void | Promise<void>;

/** A client of a server that follows the script from the first request on. */
async function clientOf(t: TestContext, offer: Offer, script: Script): Promise<NbdClient> {
  const path = await honestUntilRequests(t, offer, async server => {
    await script(server, await server.request());
    await server.wire.end();
  });
  const client = await connect(`nbd+unix:///?socket=${path}`);
  t.after(() => client.abort());
  return client;
}

const BASE = { 1: 'base:allocation' };
const nobody: Script = () => {
  throw new Error('a request');
};
const data = (offset: number, length: number, byte = 1) =>
  join(u64(offset), Buffer.alloc(length, byte));
const hole = (offset: number, length: number) => join(u64(offset), u32(length));
const more = { done: false };

const failsWith = (errno: string, words: RegExp) => (error: unknown) => {
  assert.ok(error instanceof BlockError, String(error));
  assert.equal(error.errno, errno);
  assert.match(error.message, words);
  return true;
};

describe('requests that cannot be encoded', () => {
  const lengths = [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53, 2n, '1', undefined];

  test('are refused before anything is sent, and closing does not wait for them', async t => {
    const client = await clientOf(t, { form: 'extended', contexts: BASE }, nobody);
    const refused = async (work: () => unknown) =>
      assert.rejects(async () => await work(), failsWith('EINVAL', /./));
    for (const wrong of lengths) {
      const length = wrong as number;
      await refused(() => client.read(0n, length));
      await refused(() => client.read(0n, length, { memory: count => Buffer.alloc(count) }));
      await refused(() => client.cache!(0n, length));
      await refused(() => client.trim!(0n, length));
      await refused(() => client.zero!(0n, length));
      await refused(() => client.extents!(0n, length));
      await refused(() => client.blockStatus(0n, length));
    }
    for (const wrong of [0, 1.5, '0', undefined, -1n, 2n ** 64n]) {
      const offset = wrong as bigint;
      await refused(() => client.read(offset, 512));
      await refused(() => client.write!(offset, Buffer.alloc(512)));
      await refused(() => client.trim!(offset, 512));
      await refused(() => client.blockStatus(offset, 512));
    }
    for (const wrong of ['text', [1], new Uint16Array(4), new ArrayBuffer(4), undefined]) {
      await refused(() => client.write!(0n, wrong as unknown as Uint8Array));
    }
    await refused(() => client.blockStatus(0n, 0));
    await refused(() => client.blockStatus(0n, 512, { contexts: ['x:y'] }));
    assert.equal(client.inFlight, 0);
    await client.close();
  });

  test('memory of a wrong length, or none, fails its read and nothing else', async t => {
    const client = await clientOf(t, { form: 'structured' }, async (server, first) => {
      for (let asked = first; ; asked = await server.request()) {
        server.chunk(asked, Reply.offsetData, data(Number(asked.offset), asked.length, 6));
      }
    });
    const full = () => {
      throw new BlockError('ENOMEM', 'full');
    };
    await assert.rejects(client.read(0n, 70_000, { memory: full }), failsWith('ENOMEM', /full/));
    const short = client.read(0n, 512, { memory: () => Buffer.alloc(511) });
    await assert.rejects(short, failsWith('EINVAL', /512 bytes has 511/));
    assert.deepEqual(await client.read(512n, 512), Buffer.alloc(512, 6));
  });
});

test('closing: a silent server is given so long and no longer', async t => {
  const client = await clientOf(t, { form: 'simple' }, () => {});
  const read = client.read(0n, 512);
  const failed = assert.rejects(read, failsWith('ETIMEDOUT', /did not answer for 20 ms/));
  await client.close({ timeout: 20 });
  await failed;
  await assert.rejects(client.read(0n, 512), BlockError);
});

test('closing: a server that takes nothing is left', async t => {
  const client = await clientOf(t, { form: 'simple' }, server => server.wire.stopReading());
  const write = client.write!(0n, Buffer.alloc(1 << 20)) as Promise<void>;
  const failed = assert.rejects(write, BlockError);
  await client.close({ timeout: 20 });
  await failed;
});

test('closing: requests under way are answered, later ones refused', async t => {
  const client = await clientOf(t, { form: 'simple' }, (server, asked) => {
    setTimeout(() => server.simple(asked, 0, Buffer.alloc(512, 7)), 20);
  });
  const read = client.read(0n, 512);
  const closed = client.close();
  await assert.rejects(client.read(0n, 512), failsWith('ESHUTDOWN', /closed/));
  assert.deepEqual(await read, Buffer.alloc(512, 7));
  await closed;
});

describe('what a read gives', () => {
  const mixed: Script = async (server, first) => {
    for (let asked = first; ; asked = await server.request()) {
      server.chunk(asked, Reply.offsetHole, hole(0, 512), more);
      server.chunk(asked, Reply.offsetData, data(512, 512, 5), more);
      server.chunk(asked, Reply.offsetHole, hole(1024, 1024));
    }
  };
  const expected = join(Buffer.alloc(512), Buffer.alloc(512, 5), Buffer.alloc(1024));

  test("is the caller's own, holes as well", async t => {
    const client = await clientOf(t, { form: 'extended' }, mixed);
    const bytes: Buffer = await client.read(0n, 2048);
    assert.deepEqual(bytes, expected);
    bytes.fill(0xee);
    assert.deepEqual(await client.read(0n, 2048), expected);
    assert.deepEqual(zeroes(2048), Buffer.alloc(2048));
  });

  test('is a view of known zeroes for whoever gives memory', async t => {
    const client = await clientOf(t, { form: 'extended' }, mixed);
    const memory = Buffer.alloc(2048);
    const views = viewsOf(await client.read(0n, 2048, { memory: () => memory }));
    assert.deepEqual(views.map(isKnownZero), [true, false, true]);
    assert.equal(views[1]!.buffer, memory.buffer);
    assert.deepEqual(Buffer.concat(views), expected);
  });

  test('from a server with holes only', async t => {
    const client = await clientOf(t, { form: 'structured' }, async (server, first) => {
      for (let asked = first; ; asked = await server.request()) {
        server.chunk(asked, Reply.offsetHole, hole(0, asked.length));
      }
    });
    for (let round = 0; round < 2; round++) {
      const bytes = await client.read(0n, 4096);
      assert.deepEqual(bytes, Buffer.alloc(4096));
      bytes.fill(1);
    }
  });

  test('in pieces, when it is longer than the server takes', async t => {
    const infos = [join(u16(3), u32(512), u32(512), u32(1024))];
    const client = await clientOf(t, { form: 'structured', infos }, async (server, first) => {
      for (let asked = first; ; asked = await server.request()) {
        const at = Number(asked.offset);
        const isHole = at === 1024;
        if (isHole) server.chunk(asked, Reply.offsetHole, hole(at, asked.length));
        else server.chunk(asked, Reply.offsetData, data(at, asked.length, 3));
      }
    });
    const own = await client.read(0n, 3072);
    assert.deepEqual(own, join(Buffer.alloc(1024, 3), Buffer.alloc(1024), Buffer.alloc(1024, 3)));
  });

  test('no memory for it is an error of this read', async t => {
    const size = 2n ** 62n;
    const client = await clientOf(t, { form: 'extended', size }, nobody);
    await assert.rejects(client.read(0n, 2 ** 50), failsWith('ENOMEM', /no memory for/));
  });
});

describe('what the server offers', () => {
  const flagsOf = (...bits: number[]) => bits.reduce((flags, bit) => flags | (1 << bit), 1);
  const cases = {
    'nothing but writes': [flagsOf(), 'none', 'emulated', 'emulated', 'none'],
    flush: [flagsOf(2), 'emulated', 'emulated', 'emulated', 'none'],
    'FUA and zeroes': [flagsOf(2, 3, 6), 'native', 'native', 'none', 'none'],
    everything: [flagsOf(2, 3, 5, 6, 10, 11), 'native', 'native', 'native', 'native'],
    'reads only': [flagsOf(1, 2, 3, 6, 11), 'none', 'none', 'none', 'none'],
  } as const;
  for (const [what, [flags, fua, zero, fastZero, cache]] of Object.entries(cases)) {
    test(what, async t => {
      const client = await clientOf(t, { form: 'simple', flags }, nobody);
      assert.deepEqual(supportOf(client), { fua, zero, fastZero, cache });
    });
  }

  test('one run is asked for where one is wanted', async t => {
    const asked: number[] = [];
    const offer = { form: 'structured', contexts: BASE, flags: 0xfed } as const;
    const client = await clientOf(t, offer, async (server, first) => {
      for (let request = first; ; request = await server.request()) {
        asked.push(request.flags);
        server.chunk(request, Reply.blockStatus, join(u32(1), u32(512), u32(0)));
      }
    });
    await client.extents!(0n, 1024, { one: true });
    await client.extents!(0n, 1024);
    await client.blockStatus(0n, 1024, { one: true });
    assert.deepEqual(asked, [8, 0, 8]);
  });
});

test('a client that is not strict asks for what cannot be, and hears what the server says', async t => {
  const asked: Asked[] = [];
  const readOnly = 0x3;
  const offer = { form: 'structured', flags: readOnly } as const;
  const path = await honestUntilRequests(t, offer, async server => {
    for (;;) {
      const request = await server.request();
      asked.push(request);
      server.chunk(request, Reply.error, join(u32(22), u16(0)));
    }
  });
  const client = await connect(`nbd+unix:///?socket=${path}`, { strict: false });
  t.after(() => client.abort());
  const einval = failsWith('EINVAL', /failed/);
  await assert.rejects(async () => await client.write!(0n, Buffer.of(1), { fua: true }), einval);
  await assert.rejects(async () => await client.trim!(0n, 512), einval);
  await assert.rejects(async () => await client.zero!(1n, 1, { fastZero: true }), einval);
  await assert.rejects(async () => await client.flush!(), einval);
  await assert.rejects(async () => await client.read(2n ** 64n - 512n, 512), einval);
  await assert.rejects(client.read(2n ** 64n, 1), failsWith('EINVAL', /not inside/));
  assert.deepEqual(
    asked.map(({ type, offset }) => [type, offset]),
    [
      [1, 0n],
      [4, 0n],
      [6, 1n],
      [3, 0n],
      [0, 2n ** 64n - 512n],
    ],
  );
});
