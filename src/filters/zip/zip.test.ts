import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deflateRawSync } from 'node:zlib';
import { deviceContract } from '../../../test/contract/contract.ts';
import { filterSource, openOver, REQUEST } from '../../../test/contract/open.ts';
import { StrictDevice } from '../../../test/peer/strict-device.ts';
import { type ZipFile, zipArchive } from '../../../test/peer/zip.ts';
import { Random, readBytes } from '../../testing/model.ts';

const DISK = Buffer.concat([new Random(1).bytes(50_000), Buffer.alloc(50_000, 'words ')]);
const DEFLATED: ZipFile = {
  name: 'disk.img',
  bytes: DISK,
  method: 8,
  packed: deflateRawSync(DISK),
};
const STORED: ZipFile = { name: 'folder/disk.img', bytes: DISK };
const ARCHIVE = zipArchive([{ name: 'folder/' }, STORED, DEFLATED]);

const open = (archive: Buffer, words = 'zip-entry=disk.img') =>
  openOver(new StrictDevice(archive), `zip ${words}`.trim());

deviceContract('zip: deflated', () => open(ARCHIVE), { writes: 'none' });
deviceContract('zip: stored', () => open(ARCHIVE, 'zip-entry=folder/disk.img'), { writes: 'none' });

const FORMS: readonly (readonly [what: string, archive: Buffer])[] = [
  ['deflated', ARCHIVE],
  ['a comment at the end', zipArchive([DEFLATED], { comment: 'PK\x05\x06 and words' })],
  ['something put before it', Buffer.concat([Buffer.alloc(999, 'x'), ARCHIVE])],
  ['64-bit numbers', zipArchive([STORED, DEFLATED], { long: true })],
];
for (const [what, archive] of FORMS) {
  test(`found: ${what}`, async () => {
    const device = await open(archive);
    assert.equal(device.size, BigInt(DISK.length));
    assert.ok(DISK.equals(await readBytes(device, 0n, DISK.length)));
    await device.close!();
  });
}

test('each file is an export', async () => {
  const source = await filterSource({ open: () => new StrictDevice(ARCHIVE) }, 'zip');
  const entries = await source.list!(REQUEST);
  assert.deepEqual(
    entries!.map(({ name }) => name),
    ['folder/disk.img', 'disk.img'],
  );
  const device = await source.open({ ...REQUEST, exportName: 'folder/disk.img' });
  assert.ok(DISK.equals(await readBytes(device, 0n, DISK.length)));
  await device.close!();
});

test('a file that there is not', async () => {
  await assert.rejects(open(ARCHIVE, 'zip-entry=none'), {
    errno: 'ENOENT',
    message: "zip-entry: there is no file 'none' in the archive",
  });
});

test('damaged content', async () => {
  const wrong = (packed: Buffer, crc?: number) =>
    open(zipArchive([{ ...DEFLATED, packed, ...(crc !== undefined && { crc }) }]));
  const damaged = Buffer.from(DEFLATED.packed!);
  damaged[1000]! ^= 0x55;
  const cases: readonly (readonly [Promise<Awaited<ReturnType<typeof wrong>>>, RegExp])[] = [
    [wrong(DEFLATED.packed!, 1), /its CRC is wrong/],
    [wrong(damaged), /damaged|less comes|more comes|cut short/],
    [wrong(DEFLATED.packed!.subarray(0, 40_000)), /it is cut short/],
    [wrong(deflateRawSync(DISK.subarray(1))), /less comes of it than it says/],
    [wrong(deflateRawSync(Buffer.alloc(100_000_000))), /more comes of it than it says/],
  ];
  for (const [opening, message] of cases) {
    const device = await opening;
    await assert.rejects(async () => await device.read(0n, 1), { errno: 'EIO', message });
    await device.close!();
  }
});

const changed = (at: number, bytes: readonly number[]) => {
  const archive = Buffer.from(ARCHIVE);
  archive.set(bytes, at < 0 ? archive.length + at : at);
  return archive;
};
const REFUSED: readonly (readonly [what: string, archive: Buffer, expected: object])[] = [
  ['an empty file', Buffer.alloc(0), { errno: 'EIO', message: /no zip archive/ }],
  ['something else', Buffer.alloc(100_000, 'x'), { errno: 'EIO', message: /no zip archive/ }],
  ['a file that is cut short', ARCHIVE.subarray(0, -1), { errno: 'EIO', message: /cut short/ }],
  [
    'a directory that is too large',
    changed(-10, [0xff, 0xff, 0xff, 0x7f]),
    { errno: 'EIO', message: /directory is damaged/ },
  ],
  [
    'a directory of other things',
    changed(-10, [9, 0, 0, 0]),
    { errno: 'EIO', message: /directory is damaged/ },
  ],
  [
    'a file elsewhere',
    zipArchive([{ ...DEFLATED, at: 5 }]),
    { errno: 'EIO', message: /directory is damaged/ },
  ],
  [
    'a file beyond the end',
    zipArchive([{ ...DEFLATED, at: 2 ** 31 }]),
    { errno: 'EIO', message: /directory is damaged/ },
  ],
  [
    'an encrypted file',
    zipArchive([{ ...DEFLATED, flags: 1 }]),
    { errno: 'ENOTSUP', message: /'disk.img' is encrypted/ },
  ],
  [
    'another method',
    zipArchive([{ ...DEFLATED, method: 9 }]),
    { errno: 'ENOTSUP', message: /compressed by method 9/ },
  ],
];
for (const [what, archive, expected] of REFUSED) {
  test(`refused: ${what}`, async () => {
    await assert.rejects(open(archive), expected);
  });
}
