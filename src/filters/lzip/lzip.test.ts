import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deviceContract } from '../../../test/contract/contract.ts';
import { openOver } from '../../../test/contract/open.ts';
import { StrictDevice } from '../../../test/peer/strict-device.ts';
import { readBytes } from '../../testing/model.ts';

const CONTENT = Buffer.alloc(100_000, 'nbdpipe ');
const MEMBER = Buffer.from(
  'TFpJUAFxADcYiL9Cis+7EDOCXG/Bvq2CjxIFuBRCu2uUi3WMpMfNetb7RQh7aekEYL10Bcbdp58wxdcu3pEZK19sxUy2dmqPQU1OcMu0nVAnf69wR1SleYbNlla+iPswJJFR///7LWAAkUPlXqCGAQAAAAAAfQAAAAAAAAA=',
  'base64',
);
const FILE = Buffer.concat([MEMBER, MEMBER, MEMBER]);

const open = (file: Buffer, words = '') => openOver(new StrictDevice(file), `lzip ${words}`.trim());

deviceContract('lzip', () => open(FILE), { writes: 'none' });

test('all bytes of all members', async () => {
  const device = await open(FILE);
  assert.equal(device.size, 300_000n);
  assert.ok(
    Buffer.concat([CONTENT, CONTENT, CONTENT]).equals(await readBytes(device, 0n, 300_000)),
  );
  await device.close!();
});

const changed = (at: number, value: number) => {
  const file = Buffer.from(FILE);
  file[at < 0 ? file.length + at : at] = value;
  return file;
};

test('a damaged member fails by itself', async () => {
  for (const file of [changed(40, 99), changed(MEMBER.length - 20, 1)]) {
    const device = await open(file);
    const message = /^lzip: the block of 100000 bytes at 0: it is damaged/;
    await assert.rejects(async () => await device.read(99n, 1), { errno: 'EIO', message });
    assert.ok(CONTENT.equals(await readBytes(device, 100_000n, 100_000)));
    await device.close!();
  }
});

test('a dictionary that is too large', async () => {
  const device = await open(changed(5, 29), 'lzip-max-block=1M');
  const message = /its dictionary is too large: lzip-max-block is 1048576$/;
  await assert.rejects(async () => await device.read(0n, 1), { errno: 'ENOMEM', message });
  await device.close!();
});

const REFUSED: readonly (readonly [what: string, file: Buffer, words: string, message: RegExp])[] =
  [
    ['an empty file', Buffer.alloc(0), '', /no lzip file, or is cut short/],
    ['something else', Buffer.alloc(5000, 'x'), '', /no lzip file, or is cut short/],
    ['zeroes', Buffer.alloc(5000), '', /no lzip file, or is cut short/],
    ['a file that is cut short', FILE.subarray(0, -1), '', /no lzip file, or is cut short/],
    ['a member without its beginning', changed(1, 0), '', /header of a member is missing/],
    ['a large member', FILE, 'lzip-max-block=99999', /100000 bytes, and lzip-max-block is 99999/],
    ['a giant member', changed(-10, 0xff), '', /^lzip: its size is 2\^53 bytes or more/],
  ];
for (const [what, file, words, message] of REFUSED) {
  test(`refused: ${what}`, async () => {
    await assert.rejects(open(file, words), { errno: 'EIO', message });
  });
}
