import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { deviceContract } from '../../../test/contract/contract.ts';
import { filterSource, openPlugin, pluginSource, REQUEST } from '../../../test/contract/open.ts';
import { temporaryFolder } from '../../../test/peer/wire.ts';
import type { BlockDevice, DeviceSource } from '../../block/device.ts';
import { BlockError } from '../../block/errors.ts';
import { PASS, wrapDevice } from '../../block/wrap.ts';
import { readBytes } from '../../testing/model.ts';

const MIB = 1 << 20;
const K64 = 1 << 16;

const SHAPES: readonly (readonly [plugin: string, parameters: string])[] = [
  ['memory 1000001', 'cow-block-size=4096'],
  ['pattern 3000001', 'cow-block-size=64K'],
  ['sparse-random 1G percent=50', 'cow-on-read=true'],
  ['null 0', 'cow-on-cache=true'],
  ['zero', 'cow-on-read=/nowhere'],
];
for (const [words, parameters] of SHAPES) {
  const open = async () => {
    const [plugin, ...others] = words.split(' ') as [string, ...string[]];
    const source = await filterSource(await pluginSource(plugin, ...others), 'cow', parameters);
    return source.open(REQUEST);
  };
  deviceContract(`cow ${parameters} over ${words}`, open, { writes: 'kept', steps: 80 });
}

/** A disk of a pattern that each connection opens, and what it was asked. */
async function watched(own: (disk: BlockDevice) => Partial<BlockDevice> = () => ({})) {
  const pattern = await openPlugin('pattern', '1M');
  const asked: string[] = [];
  const source: DeviceSource = {
    open: ({ readOnly }) => {
      if (!readOnly) asked.push('opened for writing');
      return wrapDevice(pattern, {
        ...PASS,
        write: () => assert.fail('written'),
        read: (offset, length, options) => {
          asked.push(`${offset} ${length}`);
          return pattern.read(offset, length, options);
        },
        close: () => {},
        ...own(pattern),
      });
    },
  };
  return { pattern, asked, source };
}

test('all connections see the writes; the disk below is opened for reading, and not written', async () => {
  const { pattern, asked, source } = await watched();
  const cow = await filterSource(source, 'cow');
  const [one, other] = [await cow.open(REQUEST), await cow.open(REQUEST)];
  await one.write!(1000n, Buffer.from('hello'));
  await one.zero!(200_000n, 100_000);
  const expected = await readBytes(pattern, 0n, MIB);
  expected.write('hello', 1000);
  expected.fill(0, 200_000, 300_000);
  assert.ok((await readBytes(other, 0n, MIB)).equals(expected));
  assert.ok(!asked.includes('opened for writing'));
  assert.ok(one.multiConn);
});

test('blocks that are here already are written in place', async () => {
  const { asked, source } = await watched();
  const device = await (await filterSource(source, 'cow')).open(REQUEST);
  await device.write!(5n, Buffer.from('x'));
  assert.deepEqual(asked, [`0 ${K64}`]);
  await device.write!(7n, Buffer.from('x'));
  await device.write!(BigInt(K64), Buffer.alloc(K64));
  assert.equal(asked.length, 1);
});

test('what cannot be read below fails the write, and nothing is changed', async () => {
  let fails = true;
  const { pattern, source } = await watched(disk => ({
    read: (offset, length, options) => {
      if (fails) throw new BlockError('EIO', 'worn out');
      return disk.read(offset, length, options);
    },
  }));
  const device = await (await filterSource(source, 'cow')).open(REQUEST);
  const write = async () => await device.write!(5n, Buffer.alloc(2 * K64, 1));
  await assert.rejects(write, /worn out/);
  fails = false;
  const expected = await readBytes(pattern, 0n, MIB);
  assert.ok((await readBytes(device, 0n, MIB)).equals(expected));
  await write();
  expected.fill(1, 5, 5 + 2 * K64);
  assert.ok((await readBytes(device, 0n, MIB)).equals(expected));
});

for (const [parameter, call] of [
  ['cow-on-read=true', 'read'],
  ['cow-on-cache=true', 'cache'],
] as const) {
  test(`${parameter}: what is asked for once is here`, async () => {
    const { asked, source } = await watched();
    const device = await (await filterSource(source, 'cow', parameter)).open(REQUEST);
    for (let count = 0; count < 2; count++) await device[call]!(10n, 100_000);
    assert.deepEqual(asked, [`0 ${2 * K64}`]);
    const [changed] = await device.contexts![0]!.status(0n, MIB);
    assert.deepEqual(changed, { length: MIB, flags: 0 }, 'copies are no changes');
  });
}

test('extents are those below but where something was written; changes are a context', async () => {
  const cow = await filterSource(await pluginSource('memory', '1M'), 'cow');
  const device = await cow.open(REQUEST);
  await device.write!(BigInt(K64), Buffer.from('x'));
  await device.zero!(BigInt(4 * K64), K64);
  assert.deepEqual(await device.extents!(0n, MIB), [
    { length: K64, hole: true, zero: true },
    { length: K64, hole: false, zero: false },
    { length: MIB - 2 * K64, hole: true, zero: true },
  ]);
  const { name, status } = device.contexts![0]!;
  assert.equal(name, 'nbdpipe:changed');
  const flags = (await status(0n, MIB)).map(({ length, flags }) => [length / K64, flags]);
  assert.deepEqual(flags, [
    [1, 0],
    [1, 1],
    [2, 0],
    [1, 1],
    [11, 0],
  ]);
});

test('exports are apart, and the default one is that of its name', async () => {
  const source: DeviceSource = {
    open: ({ exportName }) => openPlugin('data', `"${exportName || 'a'}"`),
    list: () => [{ name: 'a' }, { name: 'b' }],
    defaultExport: () => 'a',
  };
  const cow = await filterSource(source, 'cow');
  const open = (exportName: string) => cow.open({ ...REQUEST, exportName });
  await (await open('a')).write!(0n, Buffer.from('x'));
  const read = async (name: string) => (await readBytes(await open(name), 0n, 1)).toString();
  assert.deepEqual([await read(''), await read('a'), await read('b')], ['x', 'x', 'b']);
});

test('a disk whose size has changed is refused', async () => {
  let size = '1M';
  const cow = await filterSource({ open: () => openPlugin('memory', size) }, 'cow');
  await cow.open(REQUEST);
  size = '2M';
  await assert.rejects(
    async () => await cow.open(REQUEST),
    /had 1048576 bytes and has 2097152 now/,
  );
});

test('sizes of blocks', async () => {
  const memory = await pluginSource('memory', '1M');
  for (const [size, words] of [
    ['2048', /cow-block-size: .*4096/],
    ['5000', /cow-block-size: 5000 is no power of two/],
  ] as const) {
    await assert.rejects(filterSource(memory, 'cow', `cow-block-size=${size}`), words);
  }
});

describe('cow-file', () => {
  async function kept(t: TestContext) {
    const path = join(temporaryFolder(t), 'overlay');
    const open = async (plugin = '1M', ...words: string[]) => {
      const pattern = await pluginSource('pattern', plugin);
      const source = await filterSource(pattern, 'cow', `cow-file=${path}`, ...words);
      return { source, device: await source.open(REQUEST) };
    };
    return { path, open };
  }

  test('keeps what was written from run to run', async t => {
    const { open } = await kept(t);
    const first = await open();
    await first.device.write!(100_000n, Buffer.from('hello'));
    await first.device.zero!(0n, K64);
    await first.device.write!(BigInt(5 * K64), Buffer.alloc(K64, 7));
    const expected = await readBytes(first.device, 0n, MIB);
    await first.source.close!();
    const second = await open();
    assert.ok((await readBytes(second.device, 0n, MIB)).equals(expected));
    await second.source.close!();
  });

  test('has what was flushed when the server is gone all of a sudden', async t => {
    const { path, open } = await kept(t);
    const { source, device } = await open();
    await device.write!(0n, Buffer.from('flushed'));
    await device.flush!();
    const then = readFileSync(path);
    await device.write!(BigInt(K64), Buffer.from('not flushed'));
    await source.close!();
    writeFileSync(path, then);
    const after = await open();
    assert.equal((await readBytes(after.device, 0n, 7)).toString(), 'flushed');
    const pattern = await openPlugin('pattern', '1M');
    const rest = await readBytes(after.device, BigInt(K64), 100);
    assert.ok(rest.equals(await readBytes(pattern, BigInt(K64), 100)));
    await after.source.close!();
  });

  test('is refused to a disk of another size, other blocks, and a second server', async t => {
    const { open } = await kept(t);
    const { source } = await open();
    await assert.rejects(open(), /overlay: another process uses it/);
    await source.close!();
    await assert.rejects(open('2M'), /of 1048576 bytes, in blocks of 65536, and this is .*2097152/);
    await assert.rejects(open('1M', 'cow-block-size=4096'), /in blocks of 65536/);
  });

  test('a pipe in its place does not make the server wait', async t => {
    const { path, open } = await kept(t);
    assert.equal(spawnSync('mkfifo', [path]).status, 0);
    await assert.rejects(open(), /neither a regular file nor a block device/);
  });

  const damage: [string, (path: string) => void, RegExp][] = [
    ['something else', path => writeFileSync(path, 'precious'.repeat(1000)), /no overlay/],
    ['a header cut short', path => truncateSync(path, 100), /cut short/],
    [
      'unknown states',
      path => {
        const bytes = readFileSync(path);
        bytes[4096] = 9;
        writeFileSync(path, bytes);
      },
      /damaged/,
    ],
  ];
  for (const [what, spoil, words] of damage) {
    test(`${what} in its place`, async t => {
      const { path, open } = await kept(t);
      await (await open()).source.close!();
      spoil(path);
      const before = readFileSync(path);
      await assert.rejects(open(), words);
      assert.ok(readFileSync(path).equals(before), 'it was not touched');
    });
  }
});
