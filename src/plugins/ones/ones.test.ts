import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openPlugin } from '../../../test/contract/open.ts';
import { byteLength, contiguous } from '../../block/data.ts';

test('every byte is 0xff, or the one asked for', async () => {
  const ones = await openPlugin('ones', '1G');
  assert.ok(Buffer.alloc(70_000, 0xff).equals(contiguous(await ones.read(12_345n, 70_000))));
  const sevens = await openPlugin('ones', '1G', 'byte=0x07');
  assert.ok(Buffer.alloc(100, 7).equals(contiguous(await sevens.read(5n, 100))));
  assert.equal(byteLength(await sevens.read(0n, 10_000_000)), 10_000_000);
});

test('the byte must be one', async () => {
  await assert.rejects(openPlugin('ones', '1M', 'byte=256'), {
    message: /byte: '256' is too large/,
  });
  await assert.rejects(openPlugin('ones', '1M', 'byte=x'), { message: /byte: cannot parse 'x'/ });
});
