import assert from 'node:assert/strict';
import { test } from 'node:test';
import { filterSource, pluginSource, REQUEST } from '../../../test/contract/open.ts';
import type { DeviceSource } from '../../block/device.ts';

const NAMES = ['a', 'b'];
/** What the plugin was asked for. */
const opened: string[] = [];

async function filtered(...words: string[]): Promise<DeviceSource> {
  const memory = await pluginSource('memory', '1M');
  const below: DeviceSource = {
    open: async request => {
      opened.push(request.exportName);
      return { ...(await memory.open(request)), description: 'old' };
    },
    list: () => NAMES.map(name => ({ name, description: `disk ${name}` })),
    defaultExport: () => 'b',
  };
  return await filterSource(below, 'exportname', ...words);
}

const listed = async (...words: string[]) => {
  const entries = await (await filtered(...words)).list!(REQUEST);
  return entries!.map(({ name, description }) => [name, description]);
};

test('which exports are listed', async () => {
  assert.deepEqual(await listed(), [
    ['a', 'disk a'],
    ['b', 'disk b'],
  ]);
  await assert.rejects(listed('exportname-list=error'), {
    message: 'export list restricted by policy',
  });
  assert.deepEqual(await listed('exportname-list=empty'), []);
  assert.deepEqual(await listed('exportname-list=default-only'), [['b', undefined]]);
  assert.deepEqual(await listed('exportname_list=defaultonly', 'default-export=a'), [
    ['a', undefined],
  ]);
  assert.deepEqual(await listed('exportname-list=explicit', 'exportname=y', 'exportname=x'), [
    ['y', undefined],
    ['x', undefined],
  ]);
});

test('descriptions', async () => {
  assert.deepEqual(await listed('exportdesc=none'), [
    ['a', undefined],
    ['b', undefined],
  ]);
  assert.deepEqual(await listed('exportdesc=fixed:x'), [
    ['a', 'x'],
    ['b', 'x'],
  ]);
  const script = 'exportdesc=script:echo "$name-$name"';
  assert.deepEqual(await listed(script), [
    ['a', 'a-a'],
    ['b', 'b-b'],
  ]);
  const request = { ...REQUEST, exportName: "it's" };
  const device = await (await filtered(script)).open(request);
  assert.equal(device.description, "it's-it's");
  assert.equal((await (await filtered()).open(request)).description, 'old');
  await assert.rejects(filtered('exportdesc=x'), {
    name: 'UsageError',
    message: /^unrecognized exportdesc mode: 'x': expected keep/,
  });
});

test('only the exports that were named', async () => {
  const strict = await filtered('exportname-strict=true', 'exportname=a', 'default-export=a');
  await strict.open({ ...REQUEST, exportName: 'a' });
  const refused = (name: string) => ({ errno: 'ENOENT', message: `export '${name}' not found` });
  const open = async (exportName: string) => await strict.open({ ...REQUEST, exportName });
  await assert.rejects(open('b'), refused('b'));
  await assert.rejects(open(''), refused(''));
  const words = ['exportname-strict=true', 'exportname=', 'exportname=a', 'default-export=a'];
  const lenient = await filtered(...words);
  assert.equal(await lenient.defaultExport!(REQUEST), 'a');
  await lenient.open(REQUEST);
});

test('who names no export gets the default one', async () => {
  opened.length = 0;
  await (await filtered()).open(REQUEST);
  await (await filtered('default-export=a')).open(REQUEST);
  await (await filtered('default-export=')).open(REQUEST);
  assert.deepEqual(opened, ['b', 'a', '']);
});
