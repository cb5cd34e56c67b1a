import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { deviceContract } from '../../test/contract/contract.ts';
import { REQUEST } from '../../test/contract/open.ts';
import { contiguous } from '../block/data.ts';
import type { BlockDevice } from '../block/device.ts';
import type { BlockError } from '../block/errors.ts';
import { supportOf } from '../block/support.ts';
import { firstExport, parseBlockSize, parseExports, parseExtents } from './answers.ts';
import { Methods } from './methods.ts';
import { type CallOptions, MISSING, type Reply, type Script } from './script.ts';
import { scriptSource } from './source.ts';

type Answer = string | number | Uint8Array | Reply | Promise<Reply>;
type Method = (words: readonly string[], options: CallOptions) => Answer;

const reply = (status: number, output: string | Uint8Array = '', errors = ''): Reply => ({
  status,
  output: [Buffer.from(output)],
  errors,
});

/** A script of functions: text or bytes stand for success, a number for a status. */
class Functions implements Script {
  readonly calls: string[] = [];
  readonly #methods: Readonly<Record<string, Method>>;

  constructor(methods: Readonly<Record<string, Method>>) {
    this.#methods = methods;
  }

  nameOf(): string {
    return './it';
  }

  async call(method: string, words: readonly string[], options: CallOptions): Promise<Reply> {
    this.calls.push([method, ...words].join(' '));
    const answer = await this.#methods[method]?.(words, options);
    if (answer === undefined) return MISSING;
    if (typeof answer === 'number') return reply(answer);
    return typeof answer === 'string' || answer instanceof Uint8Array ? reply(0, answer) : answer;
  }
}

const HOST = { debug: () => {}, shutdown: () => {} };

const sourceOf = (script: Script, host = HOST) =>
  scriptSource(new Methods(script, host), false, () => {});

async function openScript(methods: Readonly<Record<string, Method>>, request = REQUEST) {
  return (await sourceOf(new Functions({ get_size: () => '1M', ...methods }))).open(request);
}

/** A disk in memory whose zeroed parts are known. */
function memory(size: number): Record<string, Method> {
  const disk = Buffer.alloc(size);
  const range = ([, length, offset]: readonly string[]) =>
    disk.subarray(Number(offset), Number(offset) + Number(length));
  return {
    get_size: () => String(size),
    pread: words => Buffer.from(range(words)),
    pwrite: (words, { input }) => {
      range(words).set(input!);
      return 0;
    },
    zero: words => {
      range(words).fill(0);
      return '';
    },
    flush: () => 0,
    trim: () => 0,
    extents: ([, length, offset]) => {
      const half = Math.floor(Number(length) / 2);
      return `${offset} ${half}\n${Number(offset) + half} ${size} 0\n`;
    },
    can_write: () => 0,
    can_flush: () => 0,
    can_trim: () => 0,
    can_zero: () => 0,
    can_extents: () => 0,
    can_multi_conn: () => 0,
    can_fua: () => 'native\n',
    can_cache: () => 'emulate\n',
  };
}

for (const model of ['parallel', 'serialize_all_requests', 'serialize_connections']) {
  const methods = { ...memory(1 << 20), thread_model: () => `${model}\n` };
  deviceContract(`a script, ${model}`, () => openScript(methods), { writes: 'kept' });
}
deviceContract(
  'a script that can only be read',
  () => openScript({ pread: ([, length]) => Buffer.alloc(Number(length), 7) }),
  { writes: 'none' },
);

describe('what an open script is asked', () => {
  test('in the order of nbdkit, and with its words', async () => {
    const script = new Functions({ ...memory(4096), open: () => 'a handle\n' });
    const source = await sourceOf(script);
    await source.preconnect!({ family: 'unix' });
    const device = await source.open({ ...REQUEST, exportName: 'x', tls: true });
    const count = script.calls.length;
    await device.write!(1n, Buffer.alloc(2), { fua: true });
    await device.zero!(0n, 8, { fua: true, mayTrim: true });
    await device.extents!(0n, 8, { one: true });
    await device.flush!();
    await device.close!();
    await source.close!();
    assert.deepEqual(script.calls.slice(0, 7), [
      'config_complete',
      'thread_model',
      'get_ready',
      'after_fork',
      'preconnect false',
      'open false x true',
      'get_size a handle',
    ]);
    assert.deepEqual(script.calls.slice(count), [
      'pwrite a handle 2 1 fua',
      'zero a handle 8 0 fua,may_trim',
      'extents a handle 8 0 req_one',
      'flush a handle',
      'close a handle',
      'unload',
    ]);
  });

  test('read-only it is not asked how it is written', async () => {
    const script = new Functions(memory(512));
    await (await sourceOf(script)).open({ ...REQUEST, readOnly: true });
    assert.deepEqual(
      script.calls.filter(call => /can_(write|zero|trim|fua)/.test(call)),
      [],
    );
    assert.ok(script.calls.includes('open true  false'));
  });

  test('the name of the default export, asked for once, is the one it is opened by', async () => {
    const script = new Functions({ ...memory(512), default_export: () => 'hello\n' });
    const source = await sourceOf(script);
    await source.open(REQUEST);
    assert.equal(await source.defaultExport!(REQUEST), 'hello');
    assert.ok(script.calls.includes('open false hello false'));
    assert.equal(script.calls.filter(call => call.startsWith('default_export')).length, 1);
  });

  test('a device that cannot be opened is closed', async () => {
    const script = new Functions({ get_size: () => 'many\n' });
    const words = /\.\/it: get_size method answered "many": cannot parse/;
    await assert.rejects(async () => (await sourceOf(script)).open(REQUEST), words);
    assert.equal(script.calls.at(-1), 'close ');
  });
});

describe('capabilities', () => {
  const with_ = (methods: Record<string, Method>) => openScript({ can_write: () => 0, ...methods });
  const supports = async (methods: Record<string, Method>) => supportOf(await with_(methods));

  test('fua', async () => {
    assert.equal((await supports({})).fua, 'none');
    assert.equal((await supports({ can_flush: () => 0 })).fua, 'emulated');
    assert.equal((await supports({ can_flush: () => 0, can_fua: () => 'none\n' })).fua, 'none');
    assert.equal((await supports({ can_fua: () => 'NATIVE\n' })).fua, 'native');
    await assert.rejects(with_({ can_fua: () => 'maybe\n' }), /"maybe": expected none, emulate/);
  });

  test('fua that is emulated although nobody else may flush', async () => {
    const flags: string[] = [];
    let flushes = 0;
    const device = await with_({
      can_fua: () => 'emulate\n',
      flush: () => {
        flushes += 1;
        return 0;
      },
      pwrite: words => {
        flags.push(words[3]!);
        return 0;
      },
    });
    await device.write!(0n, Buffer.alloc(1), { fua: true });
    assert.deepEqual(
      [supportOf(device).fua, device.flush, flags, flushes],
      ['native', undefined, [''], 1],
    );
  });

  test('zero, which falls back to writing', async () => {
    assert.deepEqual(await supports({}), {
      fua: 'none',
      zero: 'emulated',
      fastZero: 'emulated',
      cache: 'none',
    });
    assert.equal((await supports({ can_zero: () => 0 })).fastZero, 'none');
    assert.equal(
      (await supports({ can_zero: () => 0, can_fast_zero: () => 0 })).fastZero,
      'native',
    );
    assert.equal((await supports({ can_fast_zero: () => 3 })).fastZero, 'none');
    const device = await with_({ can_zero: () => 0 });
    await assert.rejects(async () => device.zero!(0n, 1), { errno: 'ENOTSUP' });
  });

  test('what is missing does nothing where that is right', async () => {
    const device = await with_({
      can_trim: () => 0,
      can_flush: () => 0,
      can_cache: () => 'native',
    });
    await device.trim!(0n, 1);
    await device.flush!();
    await device.cache!(0n, 1);
    await assert.rejects(async () => device.read(0n, 1), /pread method is required/);
    await assert.rejects(
      async () => device.write!(0n, Buffer.alloc(1)),
      /pwrite method is missing/,
    );
  });
});

describe('statuses', () => {
  const reading = (answer: Reply) => openScript({ pread: () => answer });
  const failure = async (answer: Reply): Promise<BlockError> => {
    const device = await reading(answer);
    try {
      await device.read(0n, 1);
    } catch (error) {
      return error as BlockError;
    }
    assert.fail('it succeeded');
  };

  test('an errno is the first word of the complaint', async () => {
    const cases: [string, string, string][] = [
      ['ENOSPC it is full\n', 'ENOSPC', './it: it is full'],
      ['eoverflow\tfar\nmore\n', 'EOVERFLOW', './it: far'],
      ['EINVALID\n', 'EIO', './it: EINVALID'],
      ['EOPNOTSUPP', 'ENOTSUP', './it: pread: EOPNOTSUPP'],
      ['EDQUOT much', 'ENOSPC', './it: much'],
      ['something else', 'EIO', './it: something else'],
    ];
    for (const [errors, errno, message] of cases) {
      const error = await failure(reply(1, '', errors));
      assert.deepEqual([error.errno, error.message], [errno, message]);
    }
    assert.match((await failure(reply(42))).message, /exited with status 42 and printed no reason/);
    assert.match((await failure(reply(3))).message, /pread method returned unexpected code/);
  });

  test('4 and 5 end the server', async () => {
    for (const status of [4, 5]) {
      let ended = 0;
      const script = new Functions({ get_size: () => '1M', pread: () => reply(status, 'x') });
      const source = await sourceOf(script, { ...HOST, shutdown: () => void ended++ });
      const asked = Promise.resolve((await source.open(REQUEST)).read(0n, 1));
      if (status === 4) await asked;
      else await assert.rejects(asked, { errno: 'ESHUTDOWN' });
      assert.equal(ended, 1);
    }
  });

  test('6, 7 and 8 end the connection', async () => {
    for (const status of [6, 7, 8]) {
      const seen: (boolean | undefined)[] = [];
      const request = { ...REQUEST, disconnect: (force?: boolean) => void seen.push(force) };
      const device = await openScript({ pread: () => reply(status, 'x') }, request);
      const asked = Promise.resolve(device.read(0n, 1));
      if (status === 7) await asked;
      else await assert.rejects(asked);
      assert.deepEqual(seen, status === 6 ? [true] : []);
      await assert.rejects(async () => device.read(0n, 1), { errno: 'ESHUTDOWN' });
    }
  });

  test('too little data', async () => {
    const device = await reading(reply(0, 'abc'));
    await assert.rejects(async () => device.read(0n, 5), /gave 3 bytes instead of 5/);
  });
});

describe('how much at once', () => {
  const busiest = async (model: string, connections: number) => {
    let now = 0;
    let most = 0;
    const source = await sourceOf(
      new Functions({
        thread_model: () => model,
        get_size: () => '1M',
        pread: async () => {
          most = Math.max(most, ++now);
          await new Promise(resolve => setTimeout(resolve, 5));
          now -= 1;
          return reply(0, 'x');
        },
      }),
    );
    const each = async (): Promise<void> => {
      const device: BlockDevice = await source.open(REQUEST);
      await Promise.all([device.read(0n, 1), device.read(1n, 1)]);
      await device.close!();
    };
    await Promise.all(Array.from({ length: connections }, each));
    return most;
  };

  for (const [model, most] of [
    ['parallel', 4],
    ['serialize-requests', 2],
    ['SERIALIZE_ALL_REQUESTS', 1],
    ['serialize_connections', 1],
    ['whatever', 1],
  ] as const) {
    test(model, async () => assert.equal(await busiest(`${model}\n`, 2), most));
  }
});

test('lists of exports', async () => {
  const named = (...names: string[]) => names.map(name => ({ name, description: undefined }));
  for (const [text, expected] of [
    ['', []],
    ['NAMES\n', []],
    ['\n', named('')],
    ['a\nb\n', named('a', 'b')],
    ['NAMES\na\nb', named('a', 'b')],
    ['INTERLEAVED\na\nA\nb\n', [{ name: 'a', description: 'A' }, ...named('b')]],
    ['NAMES+DESCRIPTIONS\na\nb\nA\n', [{ name: 'a', description: 'A' }, ...named('b')]],
  ] as const) {
    assert.deepEqual(parseExports(text), expected, JSON.stringify(text));
  }
  assert.throws(() => parseExports('x'.repeat(5000)), /at most 4096 bytes/);
  assert.deepEqual(
    ['', 'a\nb', 'INTERLEAVED\na\nb', 'NAMES'].map(text => firstExport(text)),
    ['', 'a', 'a', ''],
  );
  const source = await sourceOf(new Functions({ default_export: () => 'd\n' }));
  assert.equal(await source.list!(REQUEST), undefined);
  assert.equal(await source.defaultExport!(REQUEST), 'd');
});

test('block sizes', () => {
  assert.deepEqual(parseBlockSize('512 4K 32M\n'), {
    minimum: 512,
    preferred: 4096,
    maximum: 32 << 20,
    advisory: true,
  });
  assert.equal(parseBlockSize('0 0 0'), undefined);
  for (const bad of [
    '',
    '512',
    '3 4096 4096',
    '1 100 4096',
    '512 4096 1000',
    '1 512 8G',
    'a b c',
  ]) {
    assert.throws(() => parseBlockSize(bad), Error, bad);
  }
});

test('runs of extents', () => {
  const data = (length: number) => ({ length, hole: false, zero: false });
  assert.deepEqual(parseExtents('0 1K hole,zero\n1024 1K\n2048 1M 3\n', 512n, 3000), [
    { length: 512, hole: true, zero: true },
    data(1024),
    { length: 1464, hole: true, zero: true },
  ]);
  assert.deepEqual(parseExtents('0 5\n5 5 0\n', 0n, 100), [data(10)]);
  assert.deepEqual(parseExtents(' 0 5\n\t5  5 0 \n', 0n, 100), [data(10)]);
  assert.deepEqual(parseExtents('0 9 zero\n', 8n, 1), [{ length: 1, hole: false, zero: true }]);
  for (const [text, why] of [
    ['', /no run/],
    ['0 8\n', /no run/],
    ['9 8\n', /expected a run from 8 on/],
    ['0 9\n10 5\n', /expected a run at 9/],
    ['0\n', /expected OFFSET LENGTH TYPE/],
    ['0 -5\n', /cannot parse/],
  ] as const) {
    assert.throws(() => parseExtents(text, 8n, 10), why, text);
  }
});

test('answers are bytes of the script, not copies', async () => {
  const device = await openScript({ pread: () => 'abcd' });
  assert.equal(Buffer.from(contiguous(await device.read(0n, 4))).toString(), 'abcd');
});
