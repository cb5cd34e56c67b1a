import assert from 'node:assert/strict';
import { test } from 'node:test';
import { REQUEST } from '../../test/contract/open.ts';
import { paddingDevice } from './constant.ts';
import type { DeviceSource } from './device.ts';
import { BlockError } from './errors.ts';
import { routeSources } from './route.ts';

const open = async (source: DeviceSource, exportName: string) =>
  (await source.open({ ...REQUEST, exportName })).size;

test('each name has its source, which is asked for its own default export', async () => {
  const asked: string[] = [];
  const sized = (size: bigint): DeviceSource => ({
    open: ({ exportName }) => {
      asked.push(exportName);
      return paddingDevice(size);
    },
  });
  const listing = {
    ...sized(2n),
    defaultExport: () => 'x',
    list: () => [{ name: 'w' }, { name: 'x', description: 'the x' }],
  };
  const source = routeSources(
    new Map([
      ['a', sized(1n)],
      ['b', listing],
    ]),
  );
  assert.deepEqual([await open(source, 'a'), await open(source, 'b')], [1n, 2n]);
  assert.equal(await open(source, ''), 1n);
  assert.deepEqual(asked, ['', 'x', '']);
  assert.equal(await source.defaultExport!(REQUEST), 'a');
  assert.deepEqual(await source.list!(REQUEST), [
    { name: 'a', description: undefined },
    { name: 'b', description: 'the x' },
  ]);
});

test('an unknown name, and those that there are', async () => {
  const padding = { open: () => paddingDevice(1n) };
  const few = routeSources(
    new Map([
      ['a', padding],
      ['b', padding],
    ]),
  );
  const message = "there is no export 'c': expected 'a', 'b'";
  await assert.rejects(open(few, 'c'), new BlockError('ENOENT', message));
  const names = Array.from({ length: 100 }, (_, index): [string, DeviceSource] => [
    `${index}`,
    padding,
  ]);
  await assert.rejects(open(routeSources(new Map(names)), 'c'), /'8', '9' and 90 more$/);
});

test('a client that one of them turns away may still have the others', async () => {
  const deny = () => {
    throw new BlockError('EACCES', 'not you');
  };
  const padding = { open: () => paddingDevice(1n) };
  const source = routeSources(
    new Map<string, DeviceSource>([
      ['a', { ...padding, preconnect: deny }],
      ['b', padding],
    ]),
  );
  await assert.rejects(open(source, 'a'), /not you/);
  assert.equal(await open(source, 'b'), 1n);
});

test('all are closed, even when one fails', async () => {
  const closed: number[] = [];
  const closing = (index: number) => ({
    open: () => paddingDevice(1n),
    close: () => {
      closed.push(index);
      if (index === 0) throw new Error('first');
    },
  });
  const source = routeSources(
    new Map([
      ['', closing(0)],
      ['b', closing(1)],
    ]),
  );
  await assert.rejects(async () => await source.close!(), /first/);
  assert.deepEqual(closed, [0, 1]);
});
