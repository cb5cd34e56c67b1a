import assert from 'node:assert/strict';
import { readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import type { BlockDevice, DeviceSource } from '../../src/block/device.ts';
import type { ServerOptions } from '../../src/server/options.ts';
import { openPlugin } from '../contract/open.ts';
import { only, startServer } from '../peer/scripted-client.ts';
import { temporaryFolder } from '../peer/wire.ts';
import { has, hasNbdsh, run, runWell } from './programs.ts';

const MIB = 1 << 20;

type Options = Omit<ServerOptions, 'source'>;

const FORMS: Readonly<Record<string, Options>> = {
  'structured replies': {},
  'simple replies': { noStructuredReplies: true },
  'plain newstyle': { maskHandshake: 0, noStructuredReplies: true },
};

/** Our server of a device; gives its URI. */
async function serve(
  t: TestContext,
  device: BlockDevice | DeviceSource,
  options: Options = {},
): Promise<string> {
  const source = 'open' in device ? device : only(device);
  const { path } = await startServer(t, source, options);
  return `nbd+unix:///?socket=${path}`;
}

/** A file of 8 MiB with data at its start, in its middle and at its end. */
function sparseImage(t: TestContext): { path: string; bytes: Buffer } {
  const path = join(temporaryFolder(t), 'image');
  const bytes = Buffer.alloc(8 * MIB);
  for (const at of [0, 3 * MIB, 8 * MIB - 65536]) bytes.fill(`data at ${at} `, at, at + 65536);
  writeFileSync(path, bytes.subarray(0, 65536));
  truncateSync(path, 8 * MIB);
  return { path, bytes };
}

async function memoryOf(bytes: Buffer): Promise<BlockDevice> {
  const device = await openPlugin('memory', `${bytes.length}`);
  for (const at of [0, 3 * MIB, 8 * MIB - 65536]) {
    await device.write!(BigInt(at), bytes.subarray(at, at + 65536));
  }
  return device;
}

describe('the C nbdinfo', () => {
  test('what there is, as JSON, sizes, maps, lists and abilities', async t => {
    if (!has(t, 'nbdinfo')) return;
    const { bytes } = sparseImage(t);
    const device = { ...(await memoryOf(bytes)), description: 'eight megabytes' };
    const uri = await serve(t, {
      open: () => device,
      list: () => [{ name: 'one', description: 'the first' }, { name: 'two' }],
      defaultExport: () => 'one',
    });
    assert.equal(await runWell('nbdinfo', ['--size', uri]), '8388608\n');
    const { protocol, structured, exports } = JSON.parse(await runWell('nbdinfo', ['--json', uri]));
    assert.deepEqual([protocol, structured], ['newstyle-fixed', true]);
    const [info] = exports;
    assert.equal(info.description, 'eight megabytes');
    assert.deepEqual(info.contexts, ['base:allocation']);
    assert.deepEqual(
      [info.can_df, info.can_fast_zero, info.can_fua, info.can_multi_conn, info.can_trim],
      [true, true, true, true, true],
    );
    assert.equal(info.block_size_preferred, 4096);
    const map = JSON.parse(await runWell('nbdinfo', ['--map', '--json', uri]));
    assert.deepEqual(
      map.map((run: { offset: number; length: number; type: number }) => [
        run.offset,
        run.length,
        run.type,
      ]),
      [
        [0, 65536, 0],
        [65536, 3 * MIB - 65536, 3],
        [3 * MIB, 65536, 0],
        [3 * MIB + 65536, 5 * MIB - 131072, 3],
        [8 * MIB - 65536, 65536, 0],
      ],
    );
    const list = JSON.parse(await runWell('nbdinfo', ['--list', '--json', uri]));
    const names = list.exports.map((entry: Record<string, string>) => entry['export-name']);
    assert.deepEqual(names, ['one', 'two']);
    for (const ability of ['write', 'flush', 'df', 'zero']) {
      await runWell('nbdinfo', ['--can', ability, uri]);
    }
    assert.equal((await run('nbdinfo', ['--is', 'read-only', uri])).status, 2);
  });

  test('a disk of 7 EiB and one of 2^63-1 bytes', async t => {
    if (!has(t, 'nbdinfo')) return;
    for (const size of [7n << 60n, 2n ** 63n - 1n]) {
      const uri = await serve(t, await openPlugin('memory', `${size}`));
      assert.equal(await runWell('nbdinfo', ['--size', uri]), `${size}\n`);
    }
  });
});

describe('the C nbdcopy', () => {
  for (const [form, options] of Object.entries(FORMS)) {
    test(`there and back: ${form}`, async t => {
      if (!has(t, 'nbdcopy')) return;
      const { path, bytes } = sparseImage(t);
      writeFileSync(path, bytes);
      const device = await openPlugin('memory', '8M');
      const uri = await serve(t, device, options);
      const copy = `${path}.copy`;
      await runWell('nbdcopy', [path, uri]);
      await runWell('nbdcopy', [uri, copy]);
      assert.ok(readFileSync(copy).equals(bytes));
    });
  }

  test('sparse stays sparse', async t => {
    if (!has(t, 'nbdcopy')) return;
    const { bytes, path } = sparseImage(t);
    const uri = await serve(t, await memoryOf(bytes));
    const copy = `${path}.copy`;
    await runWell('nbdcopy', [uri, copy]);
    assert.ok(readFileSync(copy).equals(bytes));
    assert.equal(statSync(copy).blocks * 512, 3 * 65536);
  });

  test('from a file, many requests on several connections', async t => {
    if (!has(t, 'nbdcopy')) return;
    const path = join(temporaryFolder(t), 'image');
    const bytes = Buffer.alloc(32 * MIB, 'all of it is data');
    writeFileSync(path, bytes);
    const uri = await serve(t, { open: () => openPlugin('file', path) });
    const args = ['--connections=4', '--requests=32', '--request-size=32768', uri, `${path}.copy`];
    await runWell('nbdcopy', args);
    assert.ok(readFileSync(`${path}.copy`).equals(bytes));
  });
});

describe('qemu', () => {
  test('qemu-img: info, convert there and back, map, compare', async t => {
    if (!has(t, 'qemu-img')) return;
    const { path, bytes } = sparseImage(t);
    writeFileSync(path, bytes);
    const uri = await serve(t, await openPlugin('memory', '8M'));
    await runWell('qemu-img', ['convert', '-n', '-f', 'raw', '-O', 'raw', path, uri]);
    await runWell('qemu-img', ['compare', '-f', 'raw', '-F', 'raw', path, uri]);
    const { 'virtual-size': size } = JSON.parse(
      await runWell('qemu-img', ['info', '-f', 'raw', '--output=json', uri]),
    );
    assert.equal(size, 8 * MIB);
    const qcow2 = `${path}.qcow2`;
    await runWell('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', uri, qcow2]);
    await runWell('qemu-img', ['compare', '-f', 'raw', '-F', 'qcow2', uri, qcow2]);
    const map = JSON.parse(await runWell('qemu-img', ['map', '-f', 'raw', '--output=json', uri]));
    const zeroes = map.filter((run: { zero: boolean }) => run.zero);
    const total = zeroes.reduce((sum: number, run: { length: number }) => sum + run.length, 0);
    assert.equal(total, 8 * MIB - 3 * 65536);
    await runWell('qemu-img', ['bench', '-f', 'raw', '-c', '500', '-d', '32', uri]);
    await runWell('qemu-img', ['bench', '-f', 'raw', '-w', '-c', '500', '-d', '32', uri]);
  });

  test('a qcow2 image inside of our export', async t => {
    if (!has(t, 'qemu-img', 'qemu-io')) return;
    const uri = await serve(t, await openPlugin('memory', '16M'));
    await runWell('qemu-img', ['create', '-f', 'qcow2', uri, '8M']);
    const pattern = ['-c', 'write -P 0x5a 1M 64k', '-c', 'flush', '-c', 'read -P 0x5a 1M 64k'];
    await runWell('qemu-io', ['-f', 'qcow2', ...pattern, uri]);
    await runWell('qemu-img', ['check', '-f', 'qcow2', uri]);
  });

  test('qemu-io: patterns, FUA, discard, zeroes, block status', async t => {
    if (!has(t, 'qemu-io')) return;
    const device = await openPlugin('memory', '8M');
    for (const options of Object.values(FORMS)) {
      const uri = await serve(t, device, options);
      const commands = [
        'write -P 0x11 0 1M',
        'write -f -P 0x22 1M 4k',
        'read -P 0x11 0 1M',
        'read -P 0x22 1M 4k',
        'discard 0 512k',
        'write -z -u 512k 256k',
        'write -z 768k 256k',
        'read -P 0 512k 512k',
        'aio_write -P 0x33 2M 1M',
        'aio_read -P 0 4M 1M',
        'aio_flush',
        'read -P 0x33 2M 1M',
        'flush',
        'read -P 0 0x7ffe00 512',
      ];
      const stdout = await runWell('qemu-io', [
        '-f',
        'raw',
        ...commands.flatMap(command => ['-c', command]),
        uri,
      ]);
      assert.doesNotMatch(stdout, /fail|error/i);
    }
  });
});

test('fio with verification', async t => {
  if (!has(t, 'fio')) return;
  const uri = await serve(t, await openPlugin('memory', '16M'));
  const engines = await run('fio', ['--enghelp']);
  assert.match(engines.stdout, /nbd/, 'fio without its nbd engine');
  const stdout = await runWell(
    'fio',
    [
      ...['--name=verify', '--ioengine=nbd', `--uri=${uri}`, '--rw=randrw', '--bsrange=512-64k'],
      ...['--iodepth=16', '--size=16M', '--io_size=16M', '--verify=crc32c', '--verify_fatal=1'],
      ...['--do_verify=1', '--randseed=1'],
    ],
    { cwd: temporaryFolder(t) },
  );
  assert.match(stdout, /err= 0/);
});

test('nbd-client lists the exports', async t => {
  if (!has(t, 'nbd-client')) return;
  const { server } = await startServer(t, {
    open: () => openPlugin('memory', '1M'),
    list: () => [{ name: 'one' }, { name: 'two' }],
  });
  const address = await server.listen({ host: '127.0.0.1', port: 0 });
  const port = typeof address === 'object' ? `${address!.port}` : '';
  const { stdout } = await run('nbd-client', ['-l', '127.0.0.1', port]);
  assert.match(stdout, /^one$/m);
  assert.match(stdout, /^two$/m);
});

const NBDSH = `
import errno

def fails(number, call, *args):
    try:
        call(*args)
    except nbd.Error as ex:
        assert ex.errnum == number, (ex.errnum, number, ex.string)
    else:
        raise AssertionError("no error from %s" % call)

assert h.get_size() == 8 * 1024 * 1024
assert not h.is_read_only()
for can in [h.can_flush, h.can_fua, h.can_trim, h.can_zero, h.can_fast_zero, h.can_cache, h.can_multi_conn]:
    assert can(), can
h.pwrite(b"a" * 65536, 0)
h.pwrite(b"b" * 512, 65536, nbd.CMD_FLAG_FUA)
assert h.pread(65536 + 512, 0) == b"a" * 65536 + b"b" * 512
h.zero(4096, 0)
h.zero(4096, 8192, nbd.CMD_FLAG_NO_HOLE)
h.zero(4096, 16384, nbd.CMD_FLAG_FAST_ZERO)
assert h.pread(4096, 16384) == bytes(4096)
h.trim(32768, 32768)
h.cache(65536, 0)
h.flush()
h.set_strict_mode(0)
fails(errno.EINVAL, h.pread, 512, 8 * 1024 * 1024 - 511)
fails(errno.ENOSPC, h.pwrite, bytes(512), 8 * 1024 * 1024 - 511)
fails(errno.ENOSPC, h.zero, 512, 8 * 1024 * 1024)
fails(errno.EINVAL, h.trim, 512, 8 * 1024 * 1024)
fails(errno.EINVAL, h.trim, 512, 0, nbd.CMD_FLAG_REQ_ONE)
cookies = [h.aio_pread(nbd.Buffer(4096), i * 4096) for i in range(64)]
while cookies:
    h.poll(-1)
    cookies = [c for c in cookies if not h.aio_command_completed(c)]
`;

const STRUCTURED = `
assert h.get_structured_replies_negotiated()
assert h.can_df() and h.can_meta_context(nbd.CONTEXT_BASE_ALLOCATION)
chunks = []
def chunk(data, offset, status, error):
    chunks.append((len(data), offset, status))
h.pwrite(b"c" * 32768, 131072)
h.pread_structured(131072, 98304, chunk)
kinds = [s for (_, _, s) in sorted(chunks, key=lambda c: c[1])]
assert kinds == [nbd.READ_HOLE, nbd.READ_DATA, nbd.READ_HOLE], chunks
chunks.clear()
h.pread_structured(131072, 98304, chunk, nbd.CMD_FLAG_DF)
assert [(n, s) for (n, _, s) in chunks] == [(131072, nbd.READ_DATA)], chunks
runs = []
def extent(context, offset, entries, error):
    assert context == nbd.CONTEXT_BASE_ALLOCATION
    runs.append(entries)
h.block_status(2 * 1024 * 1024, 1024 * 1024, extent)
assert runs == [[2 * 1024 * 1024, 3]], runs
runs.clear()
h.block_status(4096, 131072, extent, nbd.CMD_FLAG_REQ_ONE)
assert runs == [[4096, 0]], runs
`;

const OPTION_MODE = `
import os
h = nbd.NBD()
h.set_opt_mode(True)
h.connect_uri(os.environ["URI"])
names = []
h.opt_list(lambda name, description: names.append((name, description)))
assert names == [("one", "the first"), ("two", "")], names
h.set_export_name("nope")
try:
    h.opt_info()
    raise AssertionError("an unknown export")
except nbd.Error as ex:
    assert ex.errnum == 2, ex.string
h.set_export_name("two")
h.set_full_info(True)
h.opt_info()
assert h.get_size() == 1024 * 1024
assert h.get_export_description() == "a disk"
contexts = []
h.opt_list_meta_context(lambda name: contexts.append(name))
assert contexts == ["base:allocation", "x-test:flags"], contexts
h.add_meta_context("base:allocation")
h.add_meta_context("x-test:flags")
h.opt_go()
seen = {}
h.block_status(65536, 0, lambda context, offset, entries, error: seen.__setitem__(context, entries))
assert seen["x-test:flags"] == [65536, 9], seen
assert "base:allocation" in seen
h.shutdown()
h = nbd.NBD()
h.set_opt_mode(True)
h.connect_uri(os.environ["URI"])
h.opt_abort()
`;

describe('nbdsh', () => {
  for (const [form, options] of Object.entries(FORMS)) {
    test(`every command: ${form}`, async t => {
      if (!hasNbdsh(t)) return;
      const device = { ...(await openPlugin('memory', '8M')) };
      const uri = await serve(t, device, options);
      const script = form === 'structured replies' ? NBDSH + STRUCTURED : NBDSH;
      const base = form === 'structured replies' ? ['--base-allocation'] : [];
      await runWell('nbdsh', [...base, '-u', uri, '-c', script]);
    });
  }

  test('option mode', async t => {
    if (!hasNbdsh(t)) return;
    const status = (_offset: bigint, length: number) => [{ length, flags: 9 }];
    const memory = await openPlugin('memory', '1M');
    const device: BlockDevice = {
      ...memory,
      description: 'a disk',
      contexts: [{ name: 'x-test:flags', status }],
    };
    const { BlockError } = await import('../../src/block/errors.ts');
    const uri = await serve(t, {
      open: ({ exportName }) => {
        if (exportName === 'nope') throw new BlockError('ENOENT', 'no such export');
        return device;
      },
      list: () => [{ name: 'one', description: 'the first' }, { name: 'two' }],
    });
    await runWell('nbdsh', ['-c', OPTION_MODE], { env: { URI: uri } });
  });
});
