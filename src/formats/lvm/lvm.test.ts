import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describe, EXTENT, EXTENTS, physicalVolume, type Segment } from '../../../test/peer/lvm.ts';
import { StrictDevice } from '../../../test/peer/strict-device.ts';
import { readBytes } from '../../testing/model.ts';
import { readLabel } from './label.ts';
import { parseText } from './text.ts';
import { volumeGroups } from './volume-group.ts';

const [A, B] = ['a'.repeat(32), 'b'.repeat(32)];
const SIZE = EXTENTS + 100 * EXTENT;

/** A disk whose every 4 KiB after the metadata are filled with their number, and a letter. */
function disk(id: string, text: string): StrictDevice {
  const bytes = Buffer.alloc(SIZE);
  physicalVolume(id, text, SIZE).copy(bytes);
  for (let at = EXTENTS; at < SIZE; at += 4096) {
    bytes.fill(`${id[0]}${(at - EXTENTS) / 4096} `, at, at + 4096);
  }
  return new StrictDevice(bytes);
}

async function groupsOf(...disks: StrictDevice[]) {
  const volumes = [];
  for (const device of disks) {
    const label = await readLabel(device);
    if (label) volumes.push({ label, device });
  }
  return volumeGroups(volumes);
}

const VOLUMES: Readonly<Record<string, readonly Segment[]>> = {
  root: [
    { extents: 2, stripes: [['pv0', 3]] },
    { extents: 1, stripes: [['pv1', 0]] },
  ],
  striped: [
    {
      extents: 4,
      stripes: [
        ['pv0', 10],
        ['pv1', 20],
      ],
    },
  ],
  thin: [{ extents: 1, stripes: [], type: 'thin' }],
};
const TEXT = describe({ pv0: A, pv1: B }, VOLUMES);

/** What 4 KiB of a volume begin with. */
const at = async (device: Parameters<typeof readBytes>[0], block: number) =>
  (await readBytes(device, BigInt(block) * 4096n, 4096)).toString('latin1').split(' ')[0];

test('volumes in segments and in stripes', async () => {
  const disks = [disk(A, TEXT), disk(B, TEXT)];
  const [group] = await groupsOf(...disks);
  assert.equal(group!.name, 'vg');
  assert.equal(group!.size, BigInt(200 * EXTENT));
  const open = (name: string) => group!.logicalVolumes.find(each => each.name === name)!.open();
  const root = open('root');
  assert.equal(root.size, BigInt(3 * EXTENT));
  const perExtent = EXTENT / 4096;
  assert.equal(await at(root, 0), `a${3 * perExtent}`);
  assert.equal(await at(root, 2 * perExtent + 1), 'b1');
  await root.write!(BigInt(2 * EXTENT), Buffer.from('new'));
  assert.equal(disks[1]!.bytes.toString('latin1', EXTENTS, EXTENTS + 3), 'new');
  const striped = open('striped');
  assert.equal(striped.size, BigInt(4 * EXTENT));
  assert.equal(await at(striped, 0), `a${10 * perExtent}`);
  assert.equal(await at(striped, 1), `b${20 * perExtent}`);
  assert.equal(await at(striped, 2), `a${10 * perExtent + 1}`);
  assert.throws(() => open('thin'), { errno: 'ENOTSUP', message: /a thin volume/ });
});

test('the newest description counts, and a disk may be missing', async () => {
  const newer = describe({ pv0: A, pv1: B }, { other: VOLUMES.root! }, 2);
  const [group] = await groupsOf(disk(A, TEXT), disk(B, newer));
  assert.deepEqual(
    group!.logicalVolumes.map(({ name }) => name),
    ['other'],
  );
  const [half] = await groupsOf(disk(A, TEXT));
  assert.throws(() => half!.logicalVolumes[0]!.open(), /physical volume b+ is missing/);
});

test('what is damaged', async () => {
  assert.deepEqual(await groupsOf(new StrictDevice(Buffer.alloc(SIZE))), []);
  for (const [place, why] of [
    [512 + 40, /label: its checksum/],
    [4096 + 41, /metadata area: its checksum/],
    [4096 + 600, /metadata: its checksum/],
  ] as const) {
    const device = disk(A, TEXT);
    device.bytes[place]! ^= 1;
    await assert.rejects(groupsOf(device), why);
  }
  for (const text of ['vg {', 'vg { id = }', 'a = [1', '}', 'x = "', `${'a{'.repeat(50)}`, '']) {
    await assert.rejects(groupsOf(disk(A, text)), { errno: 'EIO', message: /^lvm: / }, text);
  }
  const gap = TEXT.replace('start_extent = 2', 'start_extent = 3');
  await assert.rejects(
    async () => (await groupsOf(disk(A, gap), disk(B, gap)))[0]!.logicalVolumes[0]!.open(),
    /leaves a gap/,
  );
});

test('the text of LVM', () => {
  const found = parseText('a = 1\nb = ["x", 2] # no\nc { d = "q\\"q" }');
  assert.deepEqual(Object.fromEntries(found), { a: 1, b: ['x', 2], c: new Map([['d', 'q"q']]) });
});
