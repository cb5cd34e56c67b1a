import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { deviceContract } from '../../../test/contract/contract.ts';
import { openPlugin, pluginSource, REQUEST } from '../../../test/contract/open.ts';
import { temporaryFolder } from '../../../test/peer/wire.ts';
import { contiguous } from '../../block/data.ts';
import type { BlockDevice, DeviceSource } from '../../block/device.ts';
import { supportOf } from '../../block/support.ts';
import type { Context } from '../../declare/declare.ts';
import { findProgram } from '../../posix/program.ts';
import { AnswerReader, encodeCall } from './frames.ts';
import python from './python.ts';

// The system's own, which starts faster than those that choose among versions.
process.env.PATH = `/usr/bin:${process.env.PATH}`;

const skip = findProgram('python3') === undefined && 'needs python3';

const MEMORY = `
disk = bytearray(3 << 20)
def open(readonly): return 1
def get_size(h): return len(disk)
def flush(h, *flags): pass
def trim(h, count, offset, *flags): pass
def zero(h, count, offset, flags): disk[offset:offset + count] = bytes(count)
`;
const VERSION_1 = `${MEMORY}
def pread(h, count, offset): return disk[offset:offset + count]
def pwrite(h, buf, offset): disk[offset:offset + len(buf)] = buf
`;
const VERSION_2 = `${MEMORY}
import nbdkit
API_VERSION = 2
def thread_model(): return nbdkit.THREAD_MODEL_PARALLEL
def can_fua(h): return nbdkit.FUA_NATIVE
def can_multi_conn(h): return True
def pread(h, buf, offset, flags): buf[:] = disk[offset:offset + len(buf)]
def pwrite(h, buf, offset, flags): disk[offset:offset + len(buf)] = buf
def extents(h, count, offset, flags): return [(offset, 1, nbdkit.EXTENT_HOLE), (offset + 1, count, 0)]
`;

const folder = mkdtempSync(join(tmpdir(), 'nbdpipe-python-test-'));
const sources: DeviceSource[] = [];
after(async () => {
  for (const source of sources) await source.close!();
  rmSync(folder, { recursive: true });
});

function file(t: Parameters<typeof temporaryFolder>[0], text: string): string {
  const path = join(temporaryFolder(t), 'script.py');
  writeFileSync(path, text);
  return path;
}

async function serve(t: Parameters<typeof temporaryFolder>[0], text: string, ...words: string[]) {
  const source = await pluginSource('python', file(t, text), ...words);
  sources.push(source);
  return source;
}

const required = (text: string) =>
  `${text}\ndef open(readonly): return 7\ndef get_size(h): return 1 << 20\n`;

async function text(device: BlockDevice, length: number): Promise<string> {
  return Buffer.from(contiguous(await device.read(0n, length))).toString();
}

describe('python', { skip }, () => {
  for (const [version, script] of [VERSION_1, VERSION_2].entries()) {
    const path = join(folder, `version-${version + 1}.py`);
    writeFileSync(path, script);
    let source: Promise<DeviceSource> | undefined;
    const open = async () => {
      source ??= pluginSource('python', path);
      return (await source).open(REQUEST);
    };
    after(async () => (await source)?.close?.());
    const steps = { writes: 'kept', steps: 60 } as const;
    deviceContract(`a script of version ${version + 1}`, open, steps);
  }

  test('functions are capabilities', async t => {
    const one = await (await serve(t, VERSION_1)).open(REQUEST);
    const two = await (await serve(t, VERSION_2)).open(REQUEST);
    const both = [one, two].map(device => [supportOf(device).fua, device.multiConn]);
    assert.deepEqual(both, [
      ['emulated', false],
      ['native', true],
    ]);
    const read = `${required('')}def pread(h, count, offset): return bytes(count)\n`;
    const { write, flush, extents, zero } = await (await serve(t, read)).open(REQUEST);
    assert.deepEqual([write, flush, extents, zero], Array(4).fill(undefined));
  });

  test('long requests, and more at once than there is shared memory', async t => {
    const device = await (await serve(t, VERSION_2)).open(REQUEST);
    const data = Buffer.alloc(3 << 20, 'abcdefg');
    await device.write!(0n, data);
    const reads = Array.from({ length: 40 }, async (_, index) => {
      const got = await device.read(BigInt(index), 50_000, { memory: Buffer.allocUnsafeSlow });
      assert.ok(data.subarray(index, index + 50_000).equals(contiguous(got)));
    });
    await Promise.all(reads);
    assert.ok(data.equals(contiguous(await device.read(0n, data.length))));
  });

  test('what the nbdkit module tells of a client', async t => {
    const source = await serve(
      t,
      required(`import nbdkit
def list_exports(readonly, tls): return [("a", "first"), "b"]
def default_export(readonly, tls): return "a"
def export_description(h):
    return "%s %s %s %s" % (nbdkit.export_name(), nbdkit.is_tls(), nbdkit.peer_uid(), nbdkit.peer_name())
def pread(h, count, offset): return b"x" * count
assert nbdkit.parse_size("4K") == 4096 and nbdkit.parse_probability("p", "10%") == 0.1
assert nbdkit.FLAG_FUA == 2 and nbdkit.CACHE_NATIVE == 2`),
    );
    const peer = { family: 'unix', uid: 12 } as const;
    const device = await source.open({ ...REQUEST, peer });
    assert.equal(device.description, 'a False 12 ');
    assert.deepEqual(await source.list!(REQUEST), [
      { name: 'a', description: 'first' },
      { name: 'b', description: undefined },
    ]);
  });

  test('errors', async t => {
    const source = await serve(
      t,
      required(`import nbdkit, errno
API_VERSION = 2
def pread(h, buf, offset, flags):
    if offset == 0: raise RuntimeError("first\\nsecond")
    nbdkit.set_error(errno.ENOSPC)
    raise ValueError("full")
def can_write(h): return True
def zero(h, count, offset, flags): nbdkit.set_error(errno.EOPNOTSUPP)`),
    );
    const device = await source.open(REQUEST);
    const first = { errno: 'EIO', message: /script.py: pread: RuntimeError: first$/ };
    await assert.rejects(async () => device.read(0n, 1), first);
    await assert.rejects(async () => device.read(1n, 1), {
      errno: 'ENOSPC',
      message: /ValueError/,
    });
    await assert.rejects(async () => device.zero!(0n, 1), { errno: 'ENOTSUP' });
    await assert.rejects(
      async () => device.write!(0n, Buffer.alloc(1)),
      /pwrite method is missing/,
    );
  });

  test('an interpreter that dies is replaced for the next client', async t => {
    const source = await serve(
      t,
      required(`import os
key = None
def config(k, v):
    global key
    key = v
def pread(h, count, offset):
    if offset == 1: os._exit(3)
    if offset == 2: os.write(3, b"\\xff" * 100)
    return key.encode() * count`),
      'k=v',
    );
    for (const offset of [1n, 2n]) {
      const [one, other] = [await source.open(REQUEST), await source.open(REQUEST)];
      assert.equal(await text(one, 2), 'vv');
      const why = /script.py: python3 has (ended with status 3|broken its channel)/;
      await assert.rejects(async () => one.read(offset, 1), why);
      await assert.rejects(async () => other.read(0n, 1), why);
      const next = await source.open(REQUEST);
      assert.equal(await text(next, 2), 'vv');
      await assert.rejects(async () => other.read(0n, 1), /that served this client has ended/);
    }
  });

  test('a call that hangs is given up with its client, and goes on', async t => {
    const source = await serve(
      t,
      required(`import time
def pread(h, count, offset):
    time.sleep(2.5 if offset else 0)
    return b"x" * count`),
    );
    const device = await source.open(REQUEST);
    const controller = new AbortController();
    const reason = new Error('gone');
    const memory = () => assert.fail('memory was asked for when the call was over');
    const asked = Promise.resolve(device.read(1n, 1, { signal: controller.signal, memory }));
    controller.abort(reason);
    await assert.rejects(asked, reason);
    assert.equal(await text(device, 1), 'x');
  });

  test('scripts that cannot be used', async t => {
    const bad: [string, RegExp][] = [
      ['x = ', /script.py: load: SyntaxError/],
      ['def open(r): pass', /the required function 'get_size' is not defined/],
      [required('API_VERSION = 9\npread = len'), /API_VERSION 9: expected 1 or 2/],
      [required('import sys\ndef pread(): pass\nsys.exit(5)'), /load: SystemExit: 5/],
      [required('import os\nos.kill(os.getpid(), 9)'), /python3 was ended by SIGKILL/],
    ];
    for (const [script, words] of bad) {
      await assert.rejects(openPlugin('python', file(t, script)), words);
    }
    const good = required('pread = len');
    await assert.rejects(openPlugin('python', file(t, good), 'a=b'), /has no config method/);
  });

  test('the server hears of shutdown, disconnect and debug', async t => {
    const seen: string[] = [];
    const context = {
      words: [
        {
          key: undefined,
          value: file(
            t,
            required(`import nbdkit
def pread(h, count, offset):
    nbdkit.debug("so")
    nbdkit.disconnect(True)
    nbdkit.shutdown()
    return bytes(count)`),
          ),
        },
      ],
      stdioSafe: true,
      readOnly: false,
      debug: (message: string) => void seen.push(message),
      shutdown: () => void seen.push('shutdown'),
    } as unknown as Context;
    const source = await python.create({} as never, context);
    sources.push(source);
    const disconnect = (force?: boolean) => void seen.push(`disconnect ${force}`);
    const device = await source.open({ ...REQUEST, disconnect });
    await device.read(0n, 1);
    assert.deepEqual(seen.slice(-3), ['so', 'disconnect true', 'shutdown']);
  });

  test('facts for --dump-plugin', async t => {
    const script = required('pread = len\ndef dump_plugin(): print("one=1")');
    const facts = await python.facts!([{ key: undefined, value: file(t, script) }]);
    assert.equal(facts.thread_model, 'serialize_all_requests');
    assert.equal(facts.one, '1');
    assert.match(facts.python_version!, /^3\./);
  });
});

test('answers come in any pieces, and no longer than they may be', () => {
  const taken: string[] = [];
  const reader = () =>
    new AnswerReader(
      () => 4,
      ({ id, status, output, errors, shared }) =>
        taken.push([id, status, Buffer.concat(output), errors, shared].join()),
    );
  const answer = (output: string, errors: string) => {
    const header = Buffer.alloc(20);
    const numbers = [9, 1, output.length, errors.length, 5];
    for (const [at, value] of numbers.entries()) header.writeUInt32LE(value, at * 4);
    return Buffer.concat([header, Buffer.from(output + errors)]);
  };
  const bytes = Buffer.concat([answer('data', 'why'), answer('', '')]);
  for (const size of [1, 7, 1000]) {
    const one = reader();
    for (let at = 0; at < bytes.length; at += size) one.feed(bytes.subarray(at, at + size));
  }
  assert.deepEqual(taken, Array(3).fill(['9,1,data,why,5', '9,1,,,5']).flat());
  assert.throws(() => reader().feed(answer('longer', '')), { errno: 'EPROTO' });
  const call = encodeCall(1, ['pread', 'h'], { input: Buffer.from('xy') });
  assert.equal(call.toString('latin1', 16), 'pread\0h\0xy');
});
