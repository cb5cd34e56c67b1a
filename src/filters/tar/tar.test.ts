import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deviceContract } from '../../../test/contract/contract.ts';
import { filterSource, openOver, REQUEST } from '../../../test/contract/open.ts';
import { StrictDevice } from '../../../test/peer/strict-device.ts';
import { octal, paxHeader, tarArchive, tarFile } from '../../../test/peer/tar.ts';
import { PASS, wrapDevice } from '../../block/wrap.ts';
import { Random, readBytes } from '../../testing/model.ts';

const DISK = new Random(1).bytes(100_000);
const README = tarFile({ name: 'README', bytes: Buffer.from('words') });
const ARCHIVE = tarArchive(README, tarFile({ name: 'disk.img', bytes: DISK }));

const sectors = { minimum: 512, preferred: 4096, maximum: 1 << 20 };
const open = (archive: Buffer, words = 'tar-entry=disk.img') =>
  openOver(new StrictDevice(Buffer.from(archive)), `tar ${words}`.trim());

deviceContract('tar', () => open(ARCHIVE), { writes: 'kept', steps: 40 });
deviceContract(
  'tar over blocks',
  () => openOver(new StrictDevice(Buffer.from(ARCHIVE), { blockSize: sectors }), 'tar'),
  { writes: 'kept', steps: 40 },
);

/** Files that are `DISK`, named in all the ways there are. */
const long = `${'folder/'.repeat(30)}disk.img`;
const gnuSize = Buffer.alloc(12);
gnuSize[0] = 0x80;
gnuSize.writeUInt32BE(DISK.length, 8);
const FORMS: readonly (readonly [what: string, archive: Buffer, name: string])[] = [
  ['an old header', tarArchive(tarFile({ name: 'disk.img', bytes: DISK, type: '\0' })), 'disk.img'],
  [
    'a prefix',
    tarArchive(tarFile({ name: 'disk.img', prefix: 'some/where', bytes: DISK })),
    'some/where/disk.img',
  ],
  [
    'a name that says that it is relative',
    tarArchive(tarFile({ name: './disk.img', bytes: DISK })),
    'disk.img',
  ],
  [
    'a long name of GNU tar',
    tarArchive(
      tarFile({ name: '././@LongLink', type: 'L', bytes: Buffer.from(`${long}\0`) }),
      tarFile({ name: 'folder/folder', bytes: DISK }),
    ),
    long,
  ],
  [
    'a long name of pax, and its size',
    tarArchive(
      paxHeader([
        ['path', long],
        ['size', String(DISK.length)],
      ]),
      tarFile({ name: 'folder/folder', bytes: DISK, size: octal(0) }),
    ),
    long,
  ],
  [
    'a size of GNU tar',
    tarArchive(tarFile({ name: 'disk.img', bytes: DISK, size: gnuSize })),
    'disk.img',
  ],
  [
    'links, folders and other things before it',
    tarArchive(
      tarFile({ name: 'folder/', type: '5' }),
      tarFile({ name: 'disk.img', type: '2' }),
      tarFile({ name: 'x', type: 'K', bytes: Buffer.from('to\0') }),
      tarFile({ name: 'y', type: 'V', bytes: Buffer.from('label') }),
      tarFile({ name: 'disk.img', bytes: DISK }),
    ),
    'disk.img',
  ],
  ['no end', Buffer.concat([README, tarFile({ name: 'disk.img', bytes: DISK })]), 'disk.img'],
];
for (const [what, archive, name] of FORMS) {
  test(`found: ${what}`, async () => {
    const device = await open(archive, `tar-entry=${name}`);
    assert.ok(DISK.equals(await readBytes(device, 0n, DISK.length)));
    assert.equal(device.size, BigInt(DISK.length));
    await device.close?.();
  });
}

/** 10,000 bytes at 5000, 20,000 at 50,000 and none at the end, 100,000. */
const RUNS = [5000, 10_000, 50_000, 20_000, 100_000, 0];
const STORED = new Random(2).bytes(30_000);
const SPARSE = Buffer.alloc(100_000);
STORED.copy(SPARSE, 5000, 0, 10_000);
STORED.copy(SPARSE, 50_000, 10_000);
const MAP = Buffer.alloc(512);
MAP.write([RUNS.length / 2, ...RUNS, ''].join('\n'));
const oldMap = [...RUNS, 0].map((value, index) => [386 + 12 * index, octal(value)] as const);
const sparseNames = [
  ['GNU.sparse.name', 'disk.img'],
  ['GNU.sparse.realsize', '100000'],
] as const;
const stored = (bytes: Buffer) => tarFile({ name: 'GNUSparseFile.1/disk.img', bytes });
const SPARSE_FORMS: readonly (readonly [what: string, archive: Buffer])[] = [
  [
    'old GNU',
    tarArchive(
      tarFile({
        ...{ name: 'disk.img', type: 'S', bytes: STORED },
        more: [...oldMap.slice(0, 6), [483, octal(100_000)]],
      }),
    ),
  ],
  [
    'pax 0.0',
    tarArchive(
      paxHeader([
        ['GNU.sparse.size', '100000'],
        ...RUNS.map(
          (value, index) =>
            [`GNU.sparse.${index % 2 ? 'numbytes' : 'offset'}`, `${value}`] as const,
        ),
        ['path', 'disk.img'],
      ]),
      stored(STORED),
    ),
  ],
  [
    'pax 0.1',
    tarArchive(paxHeader([...sparseNames, ['GNU.sparse.map', RUNS.join(',')]]), stored(STORED)),
  ],
  [
    'pax 1.0',
    tarArchive(
      paxHeader([...sparseNames, ['GNU.sparse.major', '1'], ['GNU.sparse.minor', '0']]),
      stored(Buffer.concat([MAP, STORED])),
    ),
  ],
];
for (const [what, archive] of SPARSE_FORMS) {
  test(`a sparse file: ${what}`, async () => {
    const disk = new StrictDevice(Buffer.concat([Buffer.from(archive), README]));
    const device = await openOver(disk, 'tar tar-entry=disk.img');
    assert.ok(SPARSE.equals(await readBytes(device, 0n, SPARSE.length)));
    const [hole] = await device.extents!(0n, 100_000);
    assert.deepEqual(hole, { length: 5000, hole: true, zero: true });
    await device.write!(5000n, Buffer.from('new'));
    assert.equal((await readBytes(device, 5000n, 3)).toString(), 'new');
    await assert.rejects(async () => await device.write!(0n, Buffer.from('new')), { errno: 'EIO' });
    await device.close?.();
  });
}

test('each file is an export, the largest one by default', async () => {
  const {
    list,
    defaultExport,
    open: openExport,
  } = await filterSource({ open: () => new StrictDevice(Buffer.from(ARCHIVE)) }, 'tar');
  const entries = await list!(REQUEST);
  assert.deepEqual(
    entries!.map(({ name }) => name),
    ['README', 'disk.img'],
  );
  assert.equal(await defaultExport!(REQUEST), 'disk.img');
  assert.equal((await openExport(REQUEST)).size, 100_000n);
  const readme = await openExport({ ...REQUEST, exportName: 'README' });
  assert.equal((await readBytes(readme, 0n, 5)).toString(), 'words');
  await assert.rejects(async () => await openExport({ ...REQUEST, exportName: 'none' }), {
    errno: 'ENOENT',
    message: "there is no file 'none' in the archive",
  });
});

test('what was given up is closed, and a file that there is not', async () => {
  let closed = 0;
  const close = () => {
    closed += 1;
  };
  const below = wrapDevice(new StrictDevice(ARCHIVE), { ...PASS, close });
  await assert.rejects(openOver(below, 'tar tar-entry=none'), {
    errno: 'ENOENT',
    message: "tar-entry: there is no file 'none' in the archive",
  });
  await assert.rejects(openOver(below, 'tar tar-entry=disk.img tar-limit=1K'), { errno: 'ENOENT' });
  assert.equal(closed, 2);
});

test('the description says what it is', async () => {
  const below = Object.assign(new StrictDevice(ARCHIVE), { description: 'a file' });
  const { description } = await openOver(below, 'tar tar-entry=disk.img');
  assert.equal(description, 'embedded disk.img from within tar file: a file');
});

const pax = (...fields: [string, string][]) =>
  tarArchive(paxHeader(fields), tarFile({ name: 'disk.img', bytes: DISK }));
const sparse = (map: string, size = '100000') =>
  tarArchive(
    paxHeader([
      ['GNU.sparse.realsize', size],
      ['GNU.sparse.map', map],
    ]),
    tarFile({ name: 'disk.img', bytes: STORED }),
  );
const giant = Buffer.alloc(12, 0xff);
const REFUSED: readonly (readonly [what: string, archive: Buffer, message: RegExp])[] = [
  ['something else', Buffer.alloc(5000, 'x'), /^tar: it is no tar archive$/],
  ['random bytes', new Random(9).bytes(5000).fill(0xff, 140, 160), /^tar: it is no tar archive$/],
  [
    'a damaged header',
    Buffer.concat([README, Buffer.alloc(512, 7)]),
    /the header at 1024 is damaged/,
  ],
  ['a file that is cut short', ARCHIVE.subarray(0, 50_000), /it is cut short/],
  [
    'a giant size',
    tarArchive(tarFile({ name: 'disk.img', size: giant })),
    /number in a header is too large/,
  ],
  [
    'a giant name',
    tarArchive(tarFile({ name: 'x', type: 'L', size: octal(2 ** 31) })),
    /has 2147483648 bytes/,
  ],
  [
    'fields without an end',
    tarArchive(tarFile({ name: 'x', type: 'x', bytes: Buffer.from('99 a=b\n') })),
    /extended header is damaged/,
  ],
  [
    'fields without a number',
    tarArchive(tarFile({ name: 'x', type: 'x', bytes: Buffer.from('a=b\n') })),
    /extended header is damaged/,
  ],
  ['a size that is no number', pax(['size', '-1']), /number in an extended header/],
  ['a map of half a pair', sparse('1'), /map of a sparse file is damaged/],
  ['a map that overlaps', sparse('0,20000,10000,10000'), /map of a sparse file is damaged/],
  ['a map of more than there is', sparse('0,40000'), /map of a sparse file is damaged/],
  ['a map beyond the end', sparse('90000,30000'), /map of a sparse file is damaged/],
];
for (const [what, archive, message] of REFUSED) {
  test(`refused: ${what}`, async () => {
    await assert.rejects(open(archive), { errno: 'EIO', message });
  });
}
