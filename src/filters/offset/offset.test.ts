import assert from 'node:assert/strict';
import { test } from 'node:test';
import { filterSource, pluginSource, REQUEST } from '../../../test/contract/open.ts';
import { contiguous } from '../../block/data.ts';

async function openPart(size: string, ...words: string[]) {
  const source = await filterSource(await pluginSource('pattern', size), 'offset', ...words);
  return await source.open(REQUEST);
}

test('byte 0 is the byte at the offset', async () => {
  const device = await openPart('1M', 'offset=4096', 'range=8192');
  assert.equal(device.size, 8192n);
  const bytes = Buffer.from(contiguous(await device.read(8n, 8)));
  assert.equal(bytes.readBigUInt64BE(), 4104n);
});

test('without a range it goes to the end', async () => {
  assert.equal((await openPart('1M', 'offset=1000k')).size, 24n << 10n);
  assert.equal((await openPart('1M', 'offset=1M')).size, 0n);
  assert.equal((await openPart('1M', 'range=10')).size, 10n);
});

test('a part that is not all there is an error', async () => {
  await assert.rejects(openPart('1M', 'offset=2M'), {
    errno: 'EIO',
    message: 'offset=2097152 is past the end of the disk, which is 1048576',
  });
  await assert.rejects(openPart('1M', 'offset=512k', 'range=1M'), {
    errno: 'EIO',
    message: /offset=524288 and range=1048576 reach past the end/,
  });
});
