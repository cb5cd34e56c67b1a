import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Content, fileSystemOf } from '../../test/files/made-up.ts';
import { canonicalName, findSystems } from './system.ts';
import { diskName, type Mountable, type Volume } from './volumes.ts';

function mountable(name: string, content: Content, more: object = {}): Mountable {
  return { name, volume: {} as Volume, fileSystem: { ...fileSystemOf(content), ...more } };
}

const FSTAB = `
# a comment
UUID=ABCD-1234 / ext4 defaults 0 1
LABEL=boot /boot ext4 defaults 0 2
/dev/vda3 /with\\040space xfs noauto 0 0
/dev/mapper/vg--a-home /home/ ext4 defaults 0 2
UUID=none /missing ext4 defaults 0 2
UUID=abcd-1234 /snap btrfs subvol=/snap,ro 0 0
/dev/vda9 none swap sw 0 0
`;

test('fstab decides what is mounted', async () => {
  const root = {
    etc: {
      fstab: FSTAB,
      hostname: 'box\n',
      'os-release': 'ID=debian\nPRETTY_NAME="Debian 12"\nVERSION_ID="12"\n',
    },
  };
  const all = [
    mountable('/dev/sda1', root, { uuid: 'abcd-1234' }),
    mountable('btrfsvol:/dev/sda1/snap', { s: 'x' }),
    mountable('/dev/sda2', { b: 'x' }, { label: 'boot' }),
    mountable('/dev/sda3', {}),
    mountable('/dev/vg-a/home', {}),
  ];
  const [system, ...others] = await findSystems(all);
  assert.equal(others.length, 0);
  const { distribution, product, version, hostname, mounts } = system!;
  assert.deepEqual(
    [distribution, product, version, hostname],
    ['debian', 'Debian 12', '12', 'box'],
  );
  assert.deepEqual(
    mounts.map(({ path, fileSystem }) => [
      path,
      all.findIndex(each => each.fileSystem === fileSystem),
    ]),
    [
      ['/', 0],
      ['/boot', 2],
      ['/with space', 3],
      ['/home', 4],
      ['/snap', 1],
    ],
  );
});

test('Windows, and no system', async () => {
  const windows = mountable('/dev/sda2', { Windows: { System32: {} } });
  const systems = await findSystems([mountable('/dev/sda1', { data: {} }), windows]);
  assert.deepEqual(
    systems.map(({ type, root }) => [type, root.name]),
    [['windows', '/dev/sda2']],
  );
});

test('names of devices', () => {
  assert.deepEqual([0, 25, 26, 701, 702].map(diskName), [
    '/dev/sda',
    '/dev/sdz',
    '/dev/sdaa',
    '/dev/sdzz',
    '/dev/sdaaa',
  ]);
  assert.equal(canonicalName('/dev/xvdb12'), '/dev/sdb12');
  assert.equal(canonicalName('/dev/hda'), '/dev/sda');
  assert.equal(canonicalName('/dev/mapper/a--b-c'), '/dev/a-b/c');
  assert.equal(canonicalName('/dev/nvme0n1p1'), '/dev/nvme0n1p1');
});
