import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import process from 'node:process';
import { describe, type TestContext, test } from 'node:test';
import { contiguous, isKnownZero, viewsOf } from '../../src/block/data.ts';
import type { BlockDevice } from '../../src/block/device.ts';
import { allExtents } from '../../src/block/emulate.ts';
import { BlockError } from '../../src/block/errors.ts';
import { PASS, wrapDevice } from '../../src/block/wrap.ts';
import {
  activate,
  connectCommand,
  connectSystemdSocketActivation,
} from '../../src/client/command.ts';
import { connect, negotiate } from '../../src/client/connect.ts';
import type { NegotiationOptions } from '../../src/client/negotiation.ts';
import { Model, Random } from '../../src/testing/model.ts';
import { isListening } from '../peer/listening.ts';
import { temporaryFolder } from '../peer/wire.ts';
import { has, runWell, startProgram } from './programs.ts';

const MIB = 1 << 20;

/** C nbdkit in the foreground on a socket of its own; gives the URI. */
async function cNbdkit(t: TestContext, ...args: readonly string[]): Promise<string> {
  const path = join(temporaryFolder(t), 'socket');
  const all = ['--exit-with-parent', '-f', '-U', path, ...args];
  await startProgram(t, '/usr/bin/nbdkit', all, () => isListening(path));
  return `nbd+unix:///?socket=${path}`;
}

/** Random requests beside a model, over the first two megabytes. */
async function exercise(client: BlockDevice): Promise<void> {
  const model = new Model(client, { offset: 0n, length: 2 * MIB }, new Random(5));
  await model.load();
  for (let step = 0; step < 40; step++) await model.step();
  await model.check();
}

/** In oldstyle nbdkit 1.32 offers all its abilities, and refuses every one but these two. */
function readsAndWrites(client: BlockDevice): BlockDevice {
  const without = { trim: undefined, zero: undefined, cache: undefined };
  return wrapDevice(client, { ...PASS, ...without, fua: 'none', flush: () => {} });
}

const errno = (wanted: string) => (error: unknown) =>
  error instanceof BlockError && error.errno === wanted;

describe('C nbdkit', () => {
  const servers: Readonly<Record<string, readonly string[]>> = {
    newstyle: ['-n'],
    oldstyle: ['-o'],
    'without structured replies': ['--no-sr'],
    'plain newstyle': ['--mask-handshake=0'],
    'fixed newstyle with zeroes': ['--mask-handshake=1'],
    'plain newstyle without zeroes': ['--mask-handshake=2'],
  };
  for (const [what, args] of Object.entries(servers)) {
    test(`memory: ${what}`, async t => {
      if (!has(t, 'nbdkit')) return;
      const client = await connect(await cNbdkit(t, ...args, 'memory', '4M'));
      assert.equal(client.size, BigInt(4 * MIB));
      const { protocol, structured } = client.agreement;
      const fixed = !what.startsWith('plain');
      const style = what === 'oldstyle' ? 'oldstyle' : fixed ? 'newstyle-fixed' : 'newstyle';
      const options = style === 'newstyle-fixed' && !args.includes('--no-sr');
      assert.deepEqual([protocol, structured], [style, options]);
      await exercise(what === 'oldstyle' ? readsAndWrites(client) : client);
      await client.close();
    });
  }

  test('holes, as extents and in reads', async t => {
    if (!has(t, 'nbdkit')) return;
    const client = await connect(await cNbdkit(t, 'data', '@1048576 "x"*65536', 'size=4M'));
    const runs = await allExtents(client, 0n, 4 * MIB);
    assert.equal(
      runs.reduce((sum, { length }) => sum + length, 0),
      4 * MIB,
    );
    assert.ok(runs[0]!.hole && runs.some(run => !run.hole));
    const bytes = contiguous(await client.read(BigInt(MIB), 65536));
    assert.ok(Buffer.alloc(65536, 'x').equals(bytes));
    await client.close();
  });

  test('the pattern at the far end of 2^63-1 bytes', async t => {
    if (!has(t, 'nbdkit')) return;
    const client = await connect(await cNbdkit(t, 'pattern', `${2n ** 63n - 1n}`));
    const at = 2n ** 63n - 16n;
    const expected = Buffer.alloc(8);
    expected.writeBigUInt64BE(at);
    assert.deepEqual(Buffer.from(contiguous(await client.read(at, 8))), expected);
    assert.deepEqual(client.readOnly, true);
    await client.close();
  });

  test('errors come through, and the connection goes on', async t => {
    if (!has(t, 'nbdkit')) return;
    const args = ['--filter=error', 'memory', '1M', 'error-pread=EIO', 'error-pread-rate=100%'];
    const client = await connect(await cNbdkit(t, ...args));
    await assert.rejects(client.read(0n, 512), errno('EIO'));
    await client.write!(0n, Buffer.alloc(512, 1), { fua: true });
    await assert.rejects(client.read(0n, 512), errno('EIO'));
    await client.close();
    const full = await connect(await cNbdkit(t, 'full', '1M'));
    await assert.rejects(async () => full.write!(0n, Buffer.alloc(512)), errno('ENOSPC'));
    await full.close();
  });

  test('lists, information, unknown exports', async t => {
    if (!has(t, 'nbdkit')) return;
    const folder = temporaryFolder(t);
    for (const name of ['a', 'b']) writeFileSync(join(folder, name), Buffer.alloc(4096));
    const uri = await cNbdkit(t, 'file', `dir=${folder}`);
    const negotiation = await negotiate(uri);
    const names = (await negotiation.list()).map(({ name }) => name);
    assert.deepEqual(names.sort(), ['a', 'b']);
    assert.equal((await negotiation.info('a')).size, 4096n);
    await assert.rejects(negotiation.info('c'), BlockError);
    assert.deepEqual(await negotiation.listMetaContexts('a'), ['base:allocation']);
    const client = await negotiation.go('b');
    assert.equal(client.size, 4096n);
    await client.close();
  });

  test('on the standard input and output, and by socket activation', async t => {
    if (!has(t, 'nbdkit')) return;
    for (const start of [connectCommand, connectSystemdSocketActivation]) {
      const single = start === connectCommand ? '-s' : '';
      const pid = join(temporaryFolder(t), 'pid');
      const script = `echo $$ >${pid}; exec /usr/bin/nbdkit ${single} memory 4M`;
      const client = await start(['/bin/sh', '-c', script]);
      await exercise(client);
      await client.close();
      const server = Number(readFileSync(pid, 'utf8'));
      assert.throws(() => process.kill(server, 0), { code: 'ESRCH' });
    }
  });

  test('a command that is no server, or does not exist', async t => {
    if (!has(t, 'nbdkit')) return;
    await assert.rejects(connectCommand(['/bin/true']), BlockError);
    await assert.rejects(connectSystemdSocketActivation(['/bin/false']), BlockError);
    await assert.rejects(connectCommand(['/nonexistent/server']), BlockError);
    await assert.rejects(
      activate(['/nonexistent/server']).then(s => s.negotiate()),
      BlockError,
    );
  });
});

describe('qemu-nbd', () => {
  /** A qcow2 image of 4 MiB over a raw one, with a bitmap that knows what was written last. */
  async function qcow2(t: TestContext): Promise<string> {
    const folder = temporaryFolder(t);
    const path = join(folder, 'disk.qcow2');
    const base = join(folder, 'base.raw');
    writeFileSync(base, Buffer.alloc(4 * MIB, 'base'));
    await runWell('qemu-img', ['create', '-q', '-f', 'qcow2', '-b', base, '-F', 'raw', path]);
    await runWell('qemu-io', ['-f', 'qcow2', '-c', 'write -P 0x11 1M 128k', path]);
    await runWell('qemu-img', ['bitmap', '--add', '-f', 'qcow2', path, 'changed']);
    await runWell('qemu-io', ['-f', 'qcow2', '-c', 'write -P 0x22 2M 64k', path]);
    return path;
  }

  async function qemuNbd(t: TestContext, ...args: string[]): Promise<string> {
    const path = join(temporaryFolder(t), 'socket');
    const all = ['-t', '-k', path, ...args];
    await startProgram(t, '/usr/bin/qemu-nbd', all, () => isListening(path));
    return `nbd+unix:///?socket=${path}`;
  }

  const CONTEXTS = ['base:allocation', 'qemu:dirty-bitmap:changed', 'qemu:allocation-depth'];

  test('qcow2: bitmaps and allocation depth as contexts', async t => {
    if (!has(t, 'qemu-nbd', 'qemu-img', 'qemu-io')) return;
    const image = await qcow2(t);
    const uri = await qemuNbd(t, '-r', '-f', 'qcow2', '-B', 'changed', '-A', image);
    const negotiation = await negotiate(uri);
    assert.deepEqual((await negotiation.listMetaContexts('')).sort(), [...CONTEXTS].sort());
    const client = await negotiation.go('', { contexts: CONTEXTS });
    assert.ok(client.readOnly && client.extents && !client.write);
    assert.deepEqual(client.contexts.map(({ name }) => name).sort(), CONTEXTS.slice(1).sort());
    const statuses = await client.blockStatus(0n, 4 * MIB);
    assert.deepEqual([...statuses.keys()].sort(), [...CONTEXTS].sort());
    assert.deepEqual(statuses.get('qemu:dirty-bitmap:changed'), [
      { length: 2 * MIB, flags: 0 },
      { length: 65536, flags: 1 },
      { length: 2 * MIB - 65536, flags: 0 },
    ]);
    assert.deepEqual(statuses.get('qemu:allocation-depth'), [
      { length: MIB, flags: 2 },
      { length: 131072, flags: 1 },
      { length: MIB - 131072, flags: 2 },
      { length: 65536, flags: 1 },
      { length: 2 * MIB - 65536, flags: 2 },
    ]);
    const read = Buffer.from(contiguous(await client.read(BigInt(2 * MIB), 65536)));
    assert.ok(read.equals(Buffer.alloc(65536, 0x22)));
    await client.close();
  });

  test('requests of every kind', async t => {
    if (!has(t, 'qemu-nbd', 'qemu-img', 'qemu-io')) return;
    const uri = await qemuNbd(t, '--discard=unmap', '-f', 'qcow2', await qcow2(t));
    for (const options of [{}, { structuredReplies: false }]) {
      const client = await connect(uri, options);
      await exercise(client);
      await client.close();
    }
  });

  test('a hole is known as such', async t => {
    if (!has(t, 'qemu-nbd', 'qemu-img')) return;
    const image = join(temporaryFolder(t), 'empty.qcow2');
    await runWell('qemu-img', ['create', '-q', '-f', 'qcow2', image, '1G']);
    const client = await connect(await qemuNbd(t, '-f', 'qcow2', image));
    const memory = (length: number) => Buffer.alloc(length);
    const views = viewsOf(await client.read(0n, 4 * MIB, { memory }));
    assert.ok(views.every(isKnownZero));
    await client.close();
  });

  test('by socket activation', async t => {
    if (!has(t, 'qemu-nbd', 'qemu-img', 'qemu-io')) return;
    const command = ['/usr/bin/qemu-nbd', '-r', '-f', 'qcow2', await qcow2(t)];
    const client = await connectSystemdSocketActivation(command);
    assert.equal(client.size, BigInt(4 * MIB));
    await client.close();
  });

  test('an export name that is not there', async t => {
    if (!has(t, 'qemu-nbd', 'qemu-img', 'qemu-io')) return;
    const uri = await qemuNbd(t, '-r', '-f', 'qcow2', '-x', 'disk', await qcow2(t));
    await assert.rejects(connect(uri, { exportName: 'other' }), errno('ENOENT'));
    const client = await connect(uri, { exportName: 'disk' });
    assert.equal(client.size, BigInt(4 * MIB));
    await client.close();
  });
});

describe('nbd-server', () => {
  const FORMS: Readonly<Record<string, NegotiationOptions>> = {
    'what it offers': {},
    'simple replies': { structuredReplies: false },
  };
  for (const [form, options] of Object.entries(FORMS)) {
    test(`several exports: ${form}`, async t => {
      if (!has(t, 'nbd-server')) return;
      const folder = temporaryFolder(t);
      const images = { one: join(folder, 'one.img'), two: join(folder, 'two.img') };
      writeFileSync(images.one, Buffer.alloc(4 * MIB, 'one'));
      writeFileSync(images.two, Buffer.alloc(MIB, 'two'));
      const port = await freePort();
      const config = join(folder, 'config');
      const generic = `[generic]\nlistenaddr = 127.0.0.1\nport = ${port}\nallowlist = true\n`;
      const one = `[one]\nexportname = ${images.one}\nflush = true\nfua = true\ntrim = true\n`;
      const two = `[two]\nexportname = ${images.two}\nreadonly = true\n`;
      writeFileSync(config, generic + one + two);
      await startNbdServer(t, config, join(folder, 'pid'), port);
      const negotiation = await negotiate({ host: '127.0.0.1', port }, options);
      const names = (await negotiation.list()).map(({ name }) => name);
      assert.deepEqual(names.sort(), ['one', 'two']);
      await negotiation.close();

      const uri = `nbd://127.0.0.1:${port}/`;
      const writable = await connect(`${uri}one`, options);
      await exercise(writable);
      const bytes = Buffer.from(contiguous(await writable.read(0n, 2 * MIB)));
      await writable.flush?.();
      await writable.close();
      assert.ok(
        readFileSync(images.one)
          .subarray(0, 2 * MIB)
          .equals(bytes),
      );

      const readOnly = await connect(`${uri}two`, options);
      assert.deepEqual([readOnly.readOnly, readOnly.write], [true, undefined]);
      await readOnly.close();
      await assert.rejects(connect(`${uri}three`, options), BlockError);
    });
  }
});

/** It goes to the background, and then listens; in the foreground it would serve one client only. */
async function startNbdServer(
  t: TestContext,
  config: string,
  pidFile: string,
  port: number,
): Promise<void> {
  await runWell('nbd-server', ['-C', config, '-p', pidFile]);
  const deadline = Date.now() + 10_000;
  const ready = () => existsSync(pidFile) && readFileSync(pidFile, 'utf8') !== '';
  while (!ready() || !(await accepts(port))) {
    assert.ok(Date.now() < deadline, 'nbd-server does not listen');
    await new Promise(resolve => setTimeout(resolve, 20));
  }
  const pid = Number(readFileSync(pidFile, 'utf8'));
  t.after(() => process.kill(pid));
}

async function freePort(): Promise<number> {
  const server = net.createServer();
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as net.AddressInfo;
  await new Promise(resolve => server.close(resolve));
  return port;
}

function accepts(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = net.connect(port, '127.0.0.1');
    socket.on('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
}

test('a name that means several addresses is tried until one answers', async t => {
  if (!has(t, 'nbdkit')) return;
  const port = await freePort();
  const args = ['--exit-with-parent', '-f', '-i', '127.0.0.1', '-p', `${port}`, 'memory', '1M'];
  await startProgram(t, '/usr/bin/nbdkit', args, () => accepts(port));
  const client = await connect(`nbd://localhost:${port}`);
  assert.equal(client.size, BigInt(MIB));
  await client.close();
  await assert.rejects(connect(`nbd://localhost:${await freePort()}`), BlockError);
});
