import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { has, runWell } from '../../../../test/interop/programs.ts';
import { temporaryFolder } from '../../../../test/peer/wire.ts';
import { constantDevice } from '../../../block/constant.ts';
import { contiguous } from '../../../block/data.ts';
import { Tree } from '../tree.ts';
import { btrfs } from './btrfs.ts';

const SECTOR = 4096;
const LENGTH = 40 * SECTOR + 100;
/** Nothing else is like it. */
const SIGN = Buffer.from('<- here is what will be damaged ->');

for (const checksum of ['crc32c', 'sha256']) {
  test(`damaged data is not taken for a file: ${checksum}`, async t => {
    if (!has(t, 'mkfs.btrfs')) return;
    const folder = temporaryFolder(t);
    const [files, image] = [join(folder, 'tree'), join(folder, 'image')];
    mkdirSync(files);
    const content = Buffer.alloc(LENGTH, 'content ');
    SIGN.copy(content, 20 * SECTOR + 5);
    writeFileSync(join(files, 'f'), content);
    writeFileSync(image, '');
    truncateSync(image, 112 << 20);
    await runWell('mkfs.btrfs', ['-q', '--csum', checksum, '--rootdir', files, image]);
    const bytes = readFileSync(image);
    const open = async () => {
      const fileSystem = await btrfs.open(constantDevice(bytes));
      return (await new Tree([{ path: '/', fileSystem }]).find('/f')).node.open();
    };
    const good = await open();
    assert.ok(content.equals(contiguous(await good.read(0n, LENGTH))));
    bytes[bytes.indexOf(SIGN)]! ^= 1;
    const device = await open();
    const read = async (at: number, length: number) => device.read(BigInt(at), length);
    const wrong = { errno: 'EIO', message: /inode \d+: the checksum of its data at \d+ is wrong/ };
    await assert.rejects(read(0, LENGTH), wrong);
    await assert.rejects(read(20 * SECTOR + 4000, 200), wrong, 'another part of the sector');
    assert.ok(content.subarray(0, 20 * SECTOR).equals(contiguous(await read(0, 20 * SECTOR))));
    const rest = contiguous(await read(21 * SECTOR + 1, 1000));
    assert.ok(
      content
        .subarray(21 * SECTOR + 1)
        .subarray(0, 1000)
        .equals(rest),
    );
  });
}
