import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deviceContract } from '../../../test/contract/contract.ts';
import { filterSource, openPlugin, pluginSource, REQUEST } from '../../../test/contract/open.ts';
import type { DeviceSource } from '../../block/device.ts';
import { readBytes } from '../../testing/model.ts';

const TLS = { ...REQUEST, tls: true };

for (const [what, request, writes] of [
  ['plain', REQUEST, 'none'],
  ['TLS', TLS, 'kept'],
] as const) {
  const open = async () =>
    (await filterSource(await pluginSource('memory', '1M'), 'tls-fallback')).open(request);
  deviceContract(`tls-fallback, ${what}`, open, { writes, steps: 40 });
}

test('without TLS there is nothing but a message, and nothing below is asked', async () => {
  const below: DeviceSource = {
    open: ({ tls }) => (tls ? openPlugin('memory', '1M') : assert.fail('opened')),
    list: ({ tls }) => (tls ? [{ name: 'secret' }] : assert.fail('listed')),
    defaultExport: ({ tls }) => (tls ? 'secret' : assert.fail('asked')),
  };
  const source = await filterSource(below, 'tls-fallback', 'tlsreadme=dummy\n');
  assert.equal(await source.list!(REQUEST), undefined);
  assert.equal(await source.defaultExport!(REQUEST), '');
  const device = await source.open({ ...REQUEST, exportName: 'secret' });
  const expected = Buffer.alloc(512);
  expected.write('dummy\n');
  assert.ok((await readBytes(device, 0n, 512)).equals(expected));
  assert.deepEqual(await source.list!(TLS), [{ name: 'secret' }]);
  assert.equal(await source.defaultExport!(TLS), 'secret');
  assert.equal((await source.open(TLS)).size, 1n << 20n);
});
