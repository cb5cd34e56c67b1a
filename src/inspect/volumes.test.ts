import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describe, EXTENT, EXTENTS, physicalVolume } from '../../test/peer/lvm.ts';
import { StrictDevice } from '../../test/peer/strict-device.ts';
import { createLuks } from '../formats/luks/create.ts';
import { mbrSector } from '../formats/partition-table/mbr.ts';
import { listVolumes, openFileSystems } from './volumes.ts';

const ID = 'a'.repeat(32);

/** Swap space as mkswap leaves it. */
function swap(size: number): Buffer {
  const bytes = Buffer.alloc(size);
  bytes.write('SWAPSPACE2', 4086, 'latin1');
  bytes.write('label', 1052);
  return bytes;
}

/** An MBR with an extended partition, and in a logical one a physical volume with swap on it. */
function disk(): Buffer {
  const text = describe({ pv0: ID }, { swap: [{ extents: 1, stripes: [['pv0', 2]] }] });
  const size = EXTENTS + 4 * EXTENT;
  const bytes = Buffer.alloc(20 * 512 + size);
  const entry = (start: number, sectors: number, type: number) => ({
    start: BigInt(start),
    sectors: BigInt(sectors),
    type,
  });
  mbrSector([entry(10, 10 + size / 512, 5)]).copy(bytes);
  mbrSector([entry(10, size / 512, 0x8e)]).copy(bytes, 10 * 512);
  physicalVolume(ID, text, size).copy(bytes, 20 * 512);
  swap(EXTENT).copy(bytes, 20 * 512 + EXTENTS + 2 * EXTENT);
  return bytes;
}

const refuse = (name: string, words: string) => assert.fail(`${name}: ${words}`);

test('partitions, LVM and what is on them', async () => {
  const { volumes, groups, physical } = await listVolumes([new StrictDevice(disk())], refuse);
  assert.deepEqual(
    volumes.map(({ name, kind, content }) => [name, kind, content.kind]),
    [
      ['/dev/sda', 'device', 'unknown'],
      ['/dev/sda1', 'partition', 'other'],
      ['/dev/sda5', 'partition', 'other'],
      ['/dev/vg/swap', 'lv', 'swap'],
    ],
  );
  assert.deepEqual([groups[0]!.name, physical[0]!.name], ['vg', '/dev/sda5']);
  assert.equal(volumes[1]!.size, 1024n);
  assert.deepEqual(await openFileSystems(volumes, refuse), []);
});

test('a volume of LUKS, by the right key, another one, and none', async () => {
  const below = new StrictDevice(Buffer.alloc(20 << 20));
  await createLuks(below, { passphrase: Buffer.from('right'), iterTime: 10 });
  const failures: string[] = [];
  const list = async (passphrase?: string) => {
    const keys =
      passphrase === undefined ? [] : [{ id: '/dev/sda', passphrase: Buffer.from(passphrase) }];
    const { volumes } = await listVolumes([below], (_, words) => failures.push(words), keys);
    return volumes.map(({ kind }) => kind);
  };
  assert.deepEqual(await list(), ['device']);
  assert.deepEqual(await list('wrong'), ['device']);
  assert.deepEqual(failures, ['none of the keys opens it']);
  assert.deepEqual(await list('right'), ['device', 'mapped']);
});

test('LUKS in a volume of LVM', async () => {
  const sealed = Buffer.alloc(20 << 20);
  await createLuks(new StrictDevice(sealed), { passphrase: Buffer.from('key'), iterTime: 10 });
  const extents = sealed.length / EXTENT;
  const text = describe({ pv0: ID }, { secret: [{ extents, stripes: [['pv0', 0]] }] });
  const disk = Buffer.concat([physicalVolume(ID, text, EXTENTS + sealed.length), sealed]);
  const keys = [{ id: '/dev/vg/secret', passphrase: Buffer.from('key') }];
  const { volumes } = await listVolumes([new StrictDevice(disk)], refuse, keys);
  assert.deepEqual(
    volumes.map(({ kind, parent }) => [kind, parent]),
    [
      ['device', undefined],
      ['lv', '/dev/vg'],
      ['mapped', '/dev/vg/secret'],
    ],
  );
});
