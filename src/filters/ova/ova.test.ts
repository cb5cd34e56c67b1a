import assert from 'node:assert/strict';
import { test } from 'node:test';
import { filterSource, REQUEST } from '../../../test/contract/open.ts';
import { StrictDevice } from '../../../test/peer/strict-device.ts';
import { tarArchive, tarFile } from '../../../test/peer/tar.ts';
import { zipArchive } from '../../../test/peer/zip.ts';
import { readBytes } from '../../testing/model.ts';

const FORMAT = 'http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized';
const DESCRIPTOR = `<?xml version="1.0"?>
<Envelope xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1" xmlns="x">
  <References>
    <File ovf:href="second.vmdk" ovf:id="file2" ovf:size="7"/>
    <ovf:File ovf:id='file1' ovf:href='first &amp; best.vmdk'></ovf:File>
    <File ovf:href="cd.iso" ovf:id="file3"/>
  </References>
  <DiskSection>
    <Info>Virtual disks</Info>
    <Disk ovf:capacity="8" ovf:diskId="d1" ovf:fileRef="file1" ovf:format="${FORMAT}"/>
    <Disk ovf:capacity="8" ovf:diskId="d2" ovf:fileRef="file2"/>
    <Disk ovf:capacity="8" ovf:diskId="d3"/>
  </DiskSection>
</Envelope>`;
const FILES = [
  ['appliance.ovf', DESCRIPTOR],
  ['appliance.mf', 'sums'],
  ['second.vmdk', 'second.'],
  ['first & best.vmdk', 'first'],
  ['cd.iso', 'cd'],
] as const;

const tarOf = (files: readonly (readonly [string, string])[]) =>
  tarArchive(...files.map(([name, text]) => tarFile({ name, bytes: Buffer.from(text) })));
const sourceOf = (archive: Buffer) =>
  filterSource({ open: () => new StrictDevice(archive) }, 'ova');

for (const [what, archive] of [
  ['tar', tarOf(FILES)],
  ['zip', zipArchive(FILES.map(([name, text]) => ({ name, bytes: Buffer.from(text) })))],
] as const) {
  test(`the disks of an appliance in ${what}`, async () => {
    const source = await sourceOf(archive);
    assert.deepEqual(await source.list!(REQUEST), [
      { name: 'first & best.vmdk', description: FORMAT },
      { name: 'second.vmdk', description: undefined },
    ]);
    assert.equal(await source.defaultExport!(REQUEST), 'first & best.vmdk');
    for (const [exportName, text] of [
      ['', 'first'],
      ['second.vmdk', 'second.'],
    ] as const) {
      const device = await source.open({ ...REQUEST, exportName });
      assert.equal((await readBytes(device, 0n, Number(device.size))).toString(), text);
      assert.equal(device.write, undefined, 'it has check sums');
      await device.close?.();
    }
    await assert.rejects(async () => await source.open({ ...REQUEST, exportName: 'cd.iso' }), {
      errno: 'ENOENT',
    });
  });
}

const REFUSED: readonly (readonly [what: string, archive: Buffer, message: RegExp])[] = [
  ['no descriptor', tarOf(FILES.slice(1)), /ova: there is no OVF descriptor/],
  ['no disks', tarOf(FILES.slice(0, 2)), /there are no files in the archive/],
  ['something else', Buffer.alloc(2048, 'x'), /it is no tar archive/],
  [
    'a disk in pieces',
    tarOf([['x.ovf', DESCRIPTOR.replace('ovf:size="7"', 'ovf:chunkSize="7"')]]),
    /the disk 'second.vmdk' is compressed or in pieces/,
  ],
  [
    'a huge descriptor',
    tarArchive(tarFile({ name: 'x.ovf', bytes: Buffer.alloc(5 << 20, '<') })),
    /its OVF descriptor has 5242880 bytes/,
  ],
];
for (const [what, archive, message] of REFUSED) {
  test(`refused: ${what}`, async () => {
    const source = await sourceOf(archive);
    await assert.rejects(async () => await source.open(REQUEST), { message });
  });
}
