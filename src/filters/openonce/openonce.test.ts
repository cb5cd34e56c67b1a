import assert from 'node:assert/strict';
import { test } from 'node:test';
import { filterSource, openPlugin, REQUEST } from '../../../test/contract/open.ts';
import { PASS, wrapDevice } from '../../block/wrap.ts';

test('an export is opened once and stays open until the server ends', async () => {
  const memory = await openPlugin('memory', '1M');
  const notes: string[] = [];
  const below = {
    open: ({ exportName, readOnly }: { exportName: string; readOnly: boolean }) => {
      const name = `${exportName}${readOnly ? ' read-only' : ''}`;
      notes.push(`open ${name}`);
      return wrapDevice(memory, { ...PASS, close: () => void notes.push(`close ${name}`) });
    },
  };
  const source = await filterSource(below, 'openonce');
  const open = async (exportName: string, readOnly = false) =>
    await source.open({ ...REQUEST, exportName, readOnly });
  const clients = [await open('a'), await open('a'), await open('b'), await open('a', true)];
  for (const client of clients) await client.close!();
  await (await open('a')).close!();
  assert.deepEqual(notes.splice(0), ['open a', 'open b', 'open a read-only']);
  await source.close!();
  assert.deepEqual(notes, ['close a', 'close b', 'close a read-only']);
});
