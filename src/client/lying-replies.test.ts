import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { hex, join, u16, u32, u64 } from '../../test/peer/bytes.ts';
import {
  type Asked,
  type Form,
  honestUntilRequests,
  type Offer,
  type ScriptedServer,
} from '../../test/peer/scripted-server.ts';
import { contiguous } from '../block/data.ts';
import { BlockError } from '../block/errors.ts';
import { Reply } from '../protocol/constants.ts';
import { ProtocolError } from '../protocol/errors.ts';
import type { NbdClient } from './client.ts';
import { connect } from './connect.ts';

type Script = (server: ScriptedServer, asked: Asked) => void | Promise<void>;

const CONTEXTS = { 1: 'base:allocation', 7: 'x:y' };

/** A client of a server that follows the script from the first request on. */
async function clientOf(t: TestContext, offer: Offer, script: Script): Promise<NbdClient> {
  const path = await honestUntilRequests(t, offer, async server => {
    await script(server, await server.request());
    await server.wire.end();
  });
  const contexts = Object.values(offer.contexts ?? CONTEXTS);
  return connect(`nbd+unix:///?socket=${path}`, { contexts });
}

/** A read of 2048 bytes at 4096 fails, as does all else from then on. */
async function breaks(t: TestContext, form: Form, script: Script): Promise<void> {
  const client = await clientOf(t, { form, contexts: CONTEXTS }, script);
  const read = client.read(4096n, 2048);
  const flush = client.flush!();
  await assert.rejects(read, ProtocolError);
  await assert.rejects(async () => await flush, ProtocolError);
  await assert.rejects(async () => client.read(0n, 512), ProtocolError);
  await client.close();
}

const data = (offset: number | bigint, length: number, byte = 1) =>
  join(u64(offset), Buffer.alloc(length, byte));
const hole = (offset: number | bigint, length: number) => join(u64(offset), u32(length));
const fault = (error: number, message = '', declared = message.length) =>
  join(u32(error), u16(declared), message);
const more = { done: false };

describe('simple replies that lie', () => {
  const scripts: Readonly<Record<string, Script>> = {
    'an unknown magic': ({ wire }) => wire.send(hex('67446699'), Buffer.alloc(12)),
    'a wrong cookie': (server, asked) => server.simple({ ...asked, cookie: asked.cookie + 99n }),
    'a cookie of 64 bits': (server, asked) =>
      server.simple({ ...asked, cookie: asked.cookie + 2n ** 32n }),
    'a chunk that was not agreed on': (server, asked) =>
      server.chunk(asked, Reply.offsetData, data(4096, 2048)),
    'the answer twice': (server, asked) => {
      server.simple(asked, 0, Buffer.alloc(2048));
      server.simple(asked, 0, Buffer.alloc(2048));
    },
  };
  for (const [what, script] of Object.entries(scripts)) {
    test(what, async t => {
      if (what !== 'the answer twice') return breaks(t, 'simple', script);
      const client = await clientOf(t, { form: 'simple' }, script);
      await client.read(4096n, 2048);
      await assert.rejects(client.read(4096n, 2048), ProtocolError);
    });
  }

  test('errors are errors, unknown ones EINVAL, and the connection goes on', async t => {
    const client = await clientOf(t, { form: 'simple' }, async (server, first) => {
      let asked = first;
      for (const error of [5, 28, 12345]) {
        server.simple(asked, error);
        asked = await server.request();
      }
      server.simple(asked, 0, Buffer.alloc(asked.length, 4));
    });
    for (const errno of ['EIO', 'ENOSPC', 'EINVAL']) {
      await assert.rejects(client.read(512n, 512), (error: unknown) => {
        return error instanceof BlockError && error.errno === errno && error.offset === 512n;
      });
    }
    assert.deepEqual(await client.read(512n, 512), Buffer.alloc(512, 4));
    client.abort();
  });
});

for (const form of ['structured', 'extended'] as const) {
  describe(`chunks that lie: ${form}`, () => {
    const scripts: Readonly<Record<string, Script>> = {
      'an unknown magic': ({ wire }) => wire.send(Buffer.alloc(32, 0x66)),
      'a wrong cookie': (server, asked) =>
        server.chunk({ ...asked, cookie: 4711n }, Reply.offsetData, data(4096, 2048)),
      'data before the request': (server, asked) =>
        server.chunk(asked, Reply.offsetData, data(4095, 2048)),
      'data behind the request': (server, asked) =>
        server.chunk(asked, Reply.offsetData, data(4097, 2048)),
      'data far away': (server, asked) =>
        server.chunk(asked, Reply.offsetData, data(2n ** 64n - 1n, 512)),
      'too much data': (server, asked) => server.chunk(asked, Reply.offsetData, data(4096, 2049)),
      'data of 4 GiB': (server, asked) =>
        server.chunk(asked, Reply.offsetData, data(4096, 0), { length: 0xffffffff }),
      'data of no bytes': (server, asked) => server.chunk(asked, Reply.offsetData, data(4096, 0)),
      'data without an offset': (server, asked) => server.chunk(asked, Reply.offsetData, u32(0)),
      'a hole outside': (server, asked) => server.chunk(asked, Reply.offsetHole, hole(6144, 1)),
      'a hole of no bytes': (server, asked) => server.chunk(asked, Reply.offsetHole, hole(4096, 0)),
      'a hole of 4 GiB': (server, asked) =>
        server.chunk(asked, Reply.offsetHole, hole(4096, 0xffffffff)),
      'a short hole': (server, asked) => server.chunk(asked, Reply.offsetHole, u64(4096)),
      'a long hole': (server, asked) =>
        server.chunk(asked, Reply.offsetHole, join(hole(4096, 512), Buffer.alloc(1))),
      'overlapping data': (server, asked) => {
        server.chunk(asked, Reply.offsetData, data(4096, 1024), more);
        server.chunk(asked, Reply.offsetData, data(4608, 1024));
      },
      'data over a hole': (server, asked) => {
        server.chunk(asked, Reply.offsetHole, hole(4096, 2048), more);
        server.chunk(asked, Reply.offsetData, data(4096, 512));
      },
      'missing data': (server, asked) => {
        server.chunk(asked, Reply.offsetData, data(4096, 1024), more);
        server.chunk(asked, Reply.offsetHole, hole(5632, 512));
      },
      'no data at all': (server, asked) => server.chunk(asked, Reply.none),
      'an end that is not the end': (server, asked) =>
        server.chunk(asked, Reply.none, Buffer.alloc(0), more),
      'an empty chunk with a payload': (server, asked) =>
        server.chunk(asked, Reply.none, Buffer.alloc(4)),
      'the same byte a million times': (server, asked) => {
        const one = Buffer.alloc(100);
        for (let at = 0; at < 2048; at++) {
          server.chunk(asked, Reply.offsetData, data(4096 + at, 1), more);
        }
        server.wire.send(one);
      },
      'an unknown chunk': (server, asked) => server.chunk(asked, 4, Buffer.alloc(8)),
      'the status of something': (server, asked) =>
        server.chunk(asked, form === 'extended' ? 6 : 5, join(u32(1), u32(1), u64(512), u64(0))),
      'an error without words': (server, asked) => server.chunk(asked, Reply.error, u32(5)),
      'an error with lying words': (server, asked) =>
        server.chunk(asked, Reply.error, fault(5, 'abc', 4)),
      'an error that is none': (server, asked) => server.chunk(asked, Reply.error, fault(0)),
      'an error of a megabyte': (server, asked) =>
        server.chunk(asked, Reply.error, join(fault(5), Buffer.alloc(1 << 20))),
      'an error of an absurd length': (server, asked) =>
        server.chunk(asked, Reply.error, fault(5), { length: 0xfffffff0 }),
      'an error at no offset': (server, asked) =>
        server.chunk(asked, Reply.errorOffset, fault(5, 'abc')),
      'errors without end': (server, asked) => {
        for (let count = 0; count < 2000; count++) {
          server.chunk(asked, Reply.error, fault(5), more);
        }
      },
      'a simple reply with data': (server, asked) => server.simple(asked, 0, Buffer.alloc(2048)),
    };
    for (const [what, script] of Object.entries(scripts)) {
      test(what, t => breaks(t, form, script));
    }

    test('chunks in any order, with holes, and an end by itself', async t => {
      const client = await clientOf(t, { form }, (server, asked) => {
        server.chunk(asked, Reply.offsetData, data(5120, 1024, 3), more);
        server.chunk(asked, Reply.offsetHole, hole(4608, 512), more);
        server.chunk(asked, Reply.offsetData, data(4096, 512, 1), more);
        server.chunk(asked, Reply.none);
      });
      const bytes = contiguous(await client.read(4096n, 2048));
      const expected = join(Buffer.alloc(512, 1), Buffer.alloc(512), Buffer.alloc(1024, 3));
      assert.deepEqual(Buffer.from(bytes), expected);
      client.abort();
    });

    test('errors, also of kinds from the future, and the connection goes on', async t => {
      const client = await clientOf(t, { form }, async (server, first) => {
        let asked = first;
        server.chunk(asked, Reply.offsetData, data(4096, 1024), more);
        server.chunk(asked, Reply.error, fault(28, 'no room'));
        asked = await server.request();
        server.chunk(asked, Reply.errorOffset, join(fault(5, 'bad sector'), u64(4608)), more);
        server.chunk(asked, Reply.none);
        asked = await server.request();
        server.chunk(asked, 0x8123, join(fault(1, 'odd'), Buffer.alloc(7)));
        asked = await server.request();
        server.chunk(asked, Reply.offsetHole, hole(4096, 2048));
      });
      const refused = (errno: string, words: RegExp, offset: bigint) => (error: unknown) => {
        assert.ok(error instanceof BlockError);
        assert.deepEqual([error.errno, error.offset], [errno, offset]);
        assert.match(error.message, words);
        return true;
      };
      await assert.rejects(client.read(4096n, 2048), refused('ENOSPC', /no room/, 4096n));
      await assert.rejects(client.read(4096n, 2048), refused('EIO', /bad sector/, 4608n));
      await assert.rejects(client.read(4096n, 2048), refused('EPERM', /odd/, 4096n));
      const bytes = contiguous(await client.read(4096n, 2048));
      assert.deepEqual(Buffer.from(bytes), Buffer.alloc(2048));
      client.abort();
    });

    test('a server that hangs up in the middle of a chunk', async t => {
      for (const cut of [1, 4, 19, 20, 27, 28, 33, 500]) {
        const client = await clientOf(t, { form }, (server, asked) => {
          const all: Buffer[] = [];
          const send = server.wire.send.bind(server.wire);
          server.wire.send = (...parts) => void all.push(join(...parts));
          server.chunk(asked, Reply.offsetData, data(4096, 2048));
          send(Buffer.concat(all).subarray(0, cut));
          server.wire.finish();
        });
        await assert.rejects(client.read(4096n, 2048), (error: unknown) => {
          return error instanceof BlockError && error.errno === 'ECONNRESET';
        });
        await client.close();
      }
    });

    const status = (id: number, ...runs: (readonly [number, number])[]) =>
      form === 'extended'
        ? join(u32(id), u32(runs.length), ...runs.flat().map(u64))
        : join(u32(id), ...runs.flat().map(u32));
    const STATUS = form === 'extended' ? Reply.blockStatusExt : Reply.blockStatus;

    const statuses: Readonly<Record<string, Script>> = {
      'nothing at all': (server, asked) => server.chunk(asked, Reply.none),
      'a context that nobody knows': (server, asked) =>
        server.chunk(asked, STATUS, status(3, [512, 0])),
      'one context twice': (server, asked) => {
        server.chunk(asked, STATUS, status(1, [512, 0]), more);
        server.chunk(asked, STATUS, status(1, [512, 0]));
      },
      'one context only': (server, asked) => server.chunk(asked, STATUS, status(1, [512, 0])),
      'no runs': (server, asked) => server.chunk(asked, STATUS, status(1)),
      'an empty run': (server, asked) => server.chunk(asked, STATUS, status(1, [0, 0])),
      'half a run': (server, asked) =>
        server.chunk(asked, STATUS, status(1, [512, 0]).subarray(0, -4)),
      'the other kind of status': (server, asked) =>
        server.chunk(asked, form === 'extended' ? 5 : 6, status(1, [512, 0])),
      'a status of 4 GiB': (server, asked) =>
        server.chunk(asked, STATUS, status(1, [512, 0]), { length: 0xffffffff }),
      data: (server, asked) => server.chunk(asked, Reply.offsetData, data(4096, 512)),
      'a hole': (server, asked) => server.chunk(asked, Reply.offsetHole, hole(4096, 512)),
      'a simple reply': (server, asked) => server.simple(asked),
    };
    for (const [what, script] of Object.entries(statuses)) {
      test(`block status: ${what}`, async t => {
        const client = await clientOf(t, { form, contexts: CONTEXTS, flags: 0xfed }, script);
        await assert.rejects(client.blockStatus(4096n, 2048), ProtocolError);
        await assert.rejects(async () => client.read(0n, 512), ProtocolError);
      });
    }

    test('runs that reach past the export, or go on after the range', async t => {
      const offer = { form, contexts: { 1: 'base:allocation' } };
      const client = await clientOf(t, offer, (server, asked) => {
        const runs = Array.from({ length: 100 }, () => [1 << 19, 3] as const);
        server.chunk(asked, STATUS, status(1, [4096, 0], ...runs));
      });
      const runs = await client.extents!(4096n, 65536);
      assert.deepEqual(runs[0], { length: 4096, hole: false, zero: false });
      const total = runs.reduce((sum, { length }) => sum + length, 0);
      assert.ok(total <= (1 << 20) - 4096, `${total} bytes of runs`);
      const before = runs.slice(0, -1).reduce((sum, { length }) => sum + length, 0);
      assert.ok(before < 65536, 'only the last run reaches past the range');
      client.abort();
    });
  });
}

test('an extended chunk with the offset of another request', async t => {
  await breaks(t, 'extended', (server, asked) =>
    server.chunk({ ...asked, offset: 0n }, Reply.offsetData, data(4096, 2048)),
  );
});

test('an extended chunk of 2^63 bytes', async t => {
  await breaks(t, 'extended', (server, asked) =>
    server.chunk(asked, Reply.offsetData, data(4096, 0), { length: 2n ** 63n }),
  );
});

describe('what the client asks', () => {
  const flagsOf = (...bits: number[]) => bits.reduce((flags, bit) => flags | (1 << bit), 1);

  test('FUA only where the server has it', async t => {
    for (const [offered, expected] of [
      [flagsOf(2), 0],
      [flagsOf(2, 3), 1],
    ] as const) {
      let seen: Asked | undefined;
      const client = await clientOf(t, { form: 'simple', flags: offered }, (server, asked) => {
        seen = asked;
        server.simple(asked);
      });
      await client.write!(0n, Buffer.alloc(512), { fua: true });
      assert.equal(seen?.flags, expected);
      client.abort();
    }
  });

  test('nothing for no bytes', async t => {
    const client = await clientOf(t, { form: 'extended' }, () => {
      throw new Error('a request');
    });
    assert.equal(contiguous(await client.read(0n, 0)).length, 0);
    await client.write!(0n, Buffer.alloc(0));
    await client.trim!(0n, 0);
    await client.zero!(0n, 0);
    client.abort();
  });

  test('long requests in pieces that fit the block sizes', async t => {
    const blockSize = join(u16(3), u32(512), u32(4096), u32(5000));
    const offer = { form: 'simple', infos: [blockSize] } as const;
    const lengths: number[] = [];
    const client = await clientOf(t, offer, async (server, first) => {
      for (let asked = first; ; asked = await server.request()) {
        lengths.push(asked.length);
        server.simple(asked, 0, Buffer.alloc(asked.type === 0 ? asked.length : 0));
      }
    });
    assert.equal(contiguous(await client.read(0n, 10240)).length, 10240);
    await client.write!(512n, Buffer.alloc(9216));
    assert.deepEqual(lengths, [4608, 4608, 1024, 4608, 4608]);
    client.abort();
  });

  test('ranges that are not inside the export are refused here', async t => {
    const client = await clientOf(t, { form: 'simple' }, () => {
      throw new Error('a request');
    });
    for (const [offset, length] of [
      [-1n, 1],
      [1n << 20n, 1],
      [0n, (1 << 20) + 1],
      [2n ** 64n, 1],
    ] as const) {
      await assert.rejects(async () => client.read(offset, length), BlockError);
    }
    client.abort();
  });

  test('closing twice at the same time', async t => {
    const client = await clientOf(t, { form: 'simple' }, (server, asked) => {
      setTimeout(() => server.simple(asked, 0, Buffer.alloc(512)), 20);
    });
    const read = client.read(0n, 512);
    await Promise.all([client.close(), client.close(), read]);
  });
});
