import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deviceContract } from '../../../test/contract/contract.ts';
import { openOver } from '../../../test/contract/open.ts';
import { StrictDevice } from '../../../test/peer/strict-device.ts';
import { readBytes } from '../../testing/model.ts';

const CONTENT = Buffer.alloc(100_000, 'nbdpipe ');
const FILE = Buffer.from(
  'QlpoOTFBWSZTWUXp88EAknuRgEAAFiFAACAAUIYAKVA04SUF4koLhJQWCSguklBYSUFhJQXxdyRThQkEXp88EA==',
  'base64',
);

const open = (file: Buffer) => openOver(new StrictDevice(file), 'bzip2');

deviceContract('bzip2', () => open(FILE), { writes: 'none' });

test('all bytes of all streams, with zeroes between them and at the end', async () => {
  const device = await open(Buffer.concat([FILE, Buffer.alloc(9), FILE, Buffer.alloc(5000)]));
  const twice = Buffer.concat([CONTENT, CONTENT]);
  assert.equal(device.size, BigInt(twice.length));
  assert.ok(twice.equals(await readBytes(device, 0n, twice.length)));
  await device.close!();
});

const damaged = Buffer.from(FILE);
damaged[30]! ^= 0x10;
const REFUSED: readonly (readonly [what: string, file: Buffer, message: RegExp])[] = [
  ['an empty file', Buffer.alloc(0), /^bzip2: it is cut short$/],
  ['something else', Buffer.alloc(5000, 'x'), /^bzip2: it is damaged$/],
  [
    'something else at the end',
    Buffer.concat([FILE, Buffer.from('garbage')]),
    /^bzip2: it is damaged$/,
  ],
  ['half a file', FILE.subarray(0, 40), /^bzip2: it is cut short$/],
  ['a damaged file', damaged, /^bzip2: it is damaged$/],
];
for (const [what, file, message] of REFUSED) {
  test(`refused: ${what}`, async () => {
    await assert.rejects(open(file), { errno: 'EIO', message });
  });
}
