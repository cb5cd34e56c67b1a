import assert from 'node:assert/strict';
import { truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { has, runWell } from '../../../../test/interop/programs.ts';
import { temporaryFolder } from '../../../../test/peer/wire.ts';
import { contiguous } from '../../../block/data.ts';
import type { BlockDevice } from '../../../block/device.ts';
import { fileDevice } from '../../../stores/file/device.ts';
import { openFile } from '../../../stores/file/open.ts';
import { xfs } from './xfs.ts';

/** Of the root, by name: a letter of where they are, and the length of their value. */
type Wanted = Readonly<Record<string, readonly [space: 'r' | 's' | 'u', length: number]>>;

const SPACES = { r: 'trusted', s: 'security', u: 'user' } as const;

/** An image whose root has attributes, which xfs_db fills with the letter v. */
async function imageOf(t: TestContext, wanted: Wanted, options: readonly string[] = []) {
  if (!has(t, 'mkfs.xfs', 'xfs_db')) return undefined;
  const image = join(temporaryFolder(t), 'image');
  writeFileSync(image, '');
  truncateSync(image, 300 << 20);
  await runWell('mkfs.xfs', ['-q', ...options, image]);
  const sets = Object.entries(wanted).map(
    ([name, [space, length]]) => `attr_set -${space} -v ${length} ${name}`,
  );
  const input = ['inode 128', ...sets, ''].join('\n');
  await runWell('xfs_db', ['-x', image], { input });
  const device = fileDevice(openFile(image, true));
  t.after(() => device.close?.());
  return device;
}

async function attributesOn(device: BlockDevice) {
  const fileSystem = await xfs.open(device);
  return fileSystem.root.attributes!();
}

const numbered = (count: number, length: number): Wanted =>
  Object.fromEntries(
    Array.from({ length: count }, (_, index) => [`a-name-${index}`, ['u', length] as const]),
  );

const CASES: Readonly<Record<string, { wanted: Wanted; options?: readonly string[] }>> = {
  'in the inode': { wanted: { short: ['u', 20], r: ['r', 3], s: ['s', 3] } },
  'in a block': { wanted: { ...numbered(20, 60), secure: ['s', 500] } },
  'in a tree of blocks': { wanted: { ...numbered(300, 100), large: ['u', 65_536] } },
  'in a block of version 4': {
    wanted: { ...numbered(20, 60), large: ['u', 65_536] },
    options: ['-m', 'crc=0'],
  },
};

for (const [name, { wanted, options }] of Object.entries(CASES)) {
  test(`extended attributes ${name}`, async t => {
    const device = await imageOf(t, wanted, options);
    if (!device) return;
    const found = await attributesOn(device);
    const expected = Object.entries(wanted).map(([key, [space, length]]) => {
      return [`${SPACES[space]}.${key}`, Buffer.alloc(length, 'v')] as const;
    });
    assert.deepEqual(new Map([...found].sort()), new Map(expected.sort()));
  });
}

test('a block of attributes that is damaged', async t => {
  const device = await imageOf(t, CASES['in a tree of blocks']!.wanted);
  if (!device) return;
  const marks = { 'the checksum of a value': 'XARM', 'the checksum of a block': '\x3b\xee\0\0' };
  for (const [words, mark] of Object.entries(marks)) {
    const changed: BlockDevice = {
      size: device.size,
      async read(offset, length) {
        const bytes = Buffer.from(contiguous(await device.read(offset, length)));
        for (let at = 0; at + 4096 <= length; at += 4096) {
          const block = bytes.subarray(at, at + 4096);
          if (block.subarray(0, 12).includes(mark, 0, 'latin1')) block[4000]! ^= 1;
        }
        return bytes;
      },
    };
    await assert.rejects(attributesOn(changed), { errno: 'EIO', message: new RegExp(words) });
  }
});
