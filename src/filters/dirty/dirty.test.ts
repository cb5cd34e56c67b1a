import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, type TestContext, test } from 'node:test';
import { pluginSource, REQUEST, watchedSource } from '../../../test/contract/open.ts';
import type { BlockDevice, DeviceSource } from '../../block/device.ts';
import { PASS, wrapDevice } from '../../block/wrap.ts';
import { wrapSource } from '../../declare/declare.ts';

const folder = mkdtempSync(join(tmpdir(), 'nbdpipe-dirty-'));
after(() => rmSync(folder, { recursive: true }));
let sockets = 0;

async function tracked(t: TestContext, plugin: string | DeviceSource = 'memory 1M', more = '') {
  const path = join(folder, `${++sockets}`);
  const words = `dirty dirty-control=${path} dirty-block-size=4096${more}`;
  const { source } = await watchedSource(plugin, words);
  t.after(() => source.close!());
  const tell = async (commands: string) => {
    const socket = connect(path);
    socket.end(commands);
    let answers = '';
    socket.on('data', data => {
      answers += data;
    });
    await once(socket, 'close');
    return answers;
  };
  return { source, tell };
}

/** The dirty ranges, in blocks. */
async function dirty(device: BlockDevice): Promise<string> {
  const found: string[] = [];
  const [{ status }] = device.contexts as [NonNullable<BlockDevice['contexts']>[number]];
  let at = 0;
  for (const { length, flags } of await status(0n, Number(device.size))) {
    if (flags === 1) found.push(`${at / 4096}-${(at + length) / 4096}`);
    at += length;
  }
  assert.equal(at, Number(device.size));
  return found.join(' ');
}

test('all is dirty until a backup is complete, and then what is written', async t => {
  const { source, tell } = await tracked(t);
  const device = await source.open(REQUEST);
  const other = await source.open(REQUEST);
  assert.equal(device.contexts![0]!.name, 'nbdpipe:dirty-bitmap:backup');
  assert.equal(await tell('e'), 'E');
  assert.equal(await dirty(device), '0-256', 'no backup had begun');
  assert.equal(await tell('b\ne?\n'), 'BEX');
  assert.equal(await dirty(device), '');
  await device.write!(4095n, Buffer.alloc(2));
  await other.zero!(40960n, 1);
  await device.trim!(1044480n, 4096);
  await device.read(100_000n, 100_000);
  assert.equal(await dirty(other), '0-2 10-11 255-256');
  assert.deepEqual(device.contexts![0]!.status(4095n, 10_000, { one: true }), [
    { length: 4097, flags: 1 },
  ]);
});

test('what is written during a backup stays for the next one, and all of one that fails', async t => {
  const { source, tell } = await tracked(t);
  const device = await source.open(REQUEST);
  await tell('be');
  await device.write!(0n, Buffer.alloc(8192));
  await tell('b');
  await device.write!(4096n, Buffer.alloc(1));
  await device.write!(20480n, Buffer.alloc(1));
  assert.equal(await dirty(device), '0-2 5-6', 'as none has ended');
  await tell('e');
  assert.equal(await dirty(device), '1-2 5-6');
  await tell('bb');
  assert.equal(await dirty(device), '1-2 5-6');
  await tell('e');
  assert.equal(await dirty(device), '');
});

test('a write that is under way, or fails, is dirty after the backup', async t => {
  let fail!: (error: Error) => void;
  const write = () =>
    new Promise<void>((_, reject) => {
      fail = reject;
    });
  const slow = wrapSource(await pluginSource('memory', '1M'), device =>
    wrapDevice(device, { ...PASS, write }),
  );
  const { source, tell } = await tracked(t, slow);
  const device = await source.open(REQUEST);
  const writing = device.write!(0n, Buffer.alloc(1));
  await tell('be');
  fail(new Error('half of it'));
  await assert.rejects(async () => await writing, /half of it/);
  assert.equal(await dirty(device), '0-1');
});

test('each export has its own, and a disk of another size is as new', async t => {
  let size = '1M';
  const below: DeviceSource = {
    list: () => [{ name: 'a' }],
    defaultExport: () => 'a',
    open: async request => (await pluginSource('memory', size)).open(request),
  };
  const { source, tell } = await tracked(t, below);
  const open = (exportName: string) => source.open({ ...REQUEST, exportName });
  const a = await open('');
  await tell('b');
  const b = await open('b');
  await a.write!(0n, Buffer.alloc(1));
  assert.deepEqual([await dirty(a), await dirty(b)], ['0-256', '0-256']);
  await tell('e');
  assert.deepEqual([await dirty(a), await dirty(b), await dirty(await open('c'))], ['0-1', '', '']);
  await tell('be');
  size = '2M';
  assert.equal(await dirty(await open('a')), '0-512');
});

test('the largest disk takes little memory and time', async t => {
  const { source, tell } = await tracked(t, 'memory 7E');
  const device = await source.open(REQUEST);
  await tell('be');
  await device.zero!(2n ** 60n, 2 ** 52);
  const [{ length, flags }] = (await device.contexts![0]!.status(2n ** 60n, 2 ** 53 - 1)) as [
    { length: number; flags: number },
  ];
  assert.ok(flags === 1 && length >= 2 ** 52, `${flags} ${length}`);
});

test('parameters that cannot be', async t => {
  for (const [more, message] of [
    [' dirty-name=a:b', /^dirty-name: 'a:b': expected 1 to 64 letters/],
    [' dirty-name=', /^dirty-name: '': expected/],
  ] as const) {
    await assert.rejects(tracked(t, 'memory 1M', more), { name: 'UsageError', message });
  }
  const block = watchedSource('memory 1M', `dirty dirty-control=${folder}/x dirty-block-size=5000`);
  await assert.rejects(block, { name: 'UsageError', message: /5000 is no power of two/ });
});
