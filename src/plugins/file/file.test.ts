import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { openPlugin, pluginSource, REQUEST } from '../../../test/contract/open.ts';
import { contiguous, isKnownZero } from '../../block/data.ts';
import type { BlockDevice } from '../../block/device.ts';
import { BlockError } from '../../block/errors.ts';

const linux = process.platform === 'linux' ? false : 'needs linux';
const folder = fs.mkdtempSync(join(tmpdir(), 'nbdpipe-file-'));
after(() => fs.rmSync(folder, { recursive: true }));

function image(name: string, content: string | Buffer, size?: number): string {
  const path = join(folder, name);
  fs.mkdirSync(join(path, '..'), { recursive: true });
  fs.writeFileSync(path, content);
  if (size !== undefined) fs.truncateSync(path, size);
  return path;
}

async function text(device: BlockDevice, offset: bigint, length: number): Promise<string> {
  return Buffer.from(contiguous(await device.read(offset, length))).toString();
}

test('a file is read and written in place', async () => {
  const path = image('plain', 'hello world');
  const device = await openPlugin('file', path);
  assert.equal(device.size, 11n);
  assert.equal(await text(device, 6n, 5), 'world');
  await device.write!(6n, Buffer.from('there'), { fua: true });
  await device.flush!();
  await device.close!();
  assert.equal(fs.readFileSync(path, 'utf8'), 'hello there');
});

test('trimming and zeroing free space, and holes are known zeroes', { skip: linux }, async () => {
  const path = image('trimmed', Buffer.alloc(4 << 20, 7));
  const device = await openPlugin('file', `file=${path}`);
  await device.trim!(1n << 20n, 1 << 20, { fua: true });
  await device.zero!(2n << 20n, 1 << 20, { mayTrim: true, fua: true });
  if (fs.statSync(path).blocks * 512 < 3 << 20) {
    assert.ok(isKnownZero((await device.read(3n << 19n, 65536)) as Uint8Array));
    assert.deepEqual(await device.extents!(0n, 4 << 20), [
      { length: 1 << 20, hole: false, zero: false },
      { length: 2 << 20, hole: true, zero: true },
      { length: 1 << 20, hole: false, zero: false },
    ]);
  }
  await device.zero!(100n, 50);
  assert.equal(await text(device, 99n, 52), `\x07${'\0'.repeat(50)}\x07`);
  assert.equal(fs.statSync(path).size, 4 << 20);
  await device.close!();
});

test('past the new end of a file that is cut short there is no hole', async () => {
  const path = image('shorter', 'x'.repeat(8192));
  fs.truncateSync(path, 1 << 20);
  const device = await openPlugin('file', path);
  fs.truncateSync(path, 500_000);
  const known = await device.extents!(0n, 1 << 20);
  assert.equal(
    known.reduce((sum, { length }) => sum + length, 0),
    500_000,
  );
  await assert.rejects(async () => await device.extents!(600_000n, 1000), {
    errno: 'EIO',
    message: /cut short/,
  });
  await device.close!();
});

test('a file that is cut short gives EIO, and not zeroes', async () => {
  for (const content of [Buffer.alloc(300_000, 1), Buffer.alloc(0)]) {
    const path = image('cut', content, 300_000);
    const device = await openPlugin('file', path);
    fs.truncateSync(path, 1000);
    for (const length of [4096, 100_000]) {
      await assert.rejects(
        async () => await device.read(150_000n, length),
        error =>
          error instanceof BlockError && error.errno === 'EIO' && /cut short/.test(error.message),
      );
    }
    await device.close!();
  }
});

test('a full disk is ENOSPC', { skip: linux }, async t => {
  let mounted: string | undefined;
  const point = join(folder, 'small');
  fs.mkdirSync(point);
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'none', point], { stdio: 'ignore' });
    mounted = point;
  } catch {
    return t.skip('needs mount as root');
  }
  try {
    const path = join(point, 'disk');
    fs.writeFileSync(path, '');
    fs.truncateSync(path, 8 << 20);
    const device = await openPlugin('file', path);
    await assert.rejects(
      async () => await device.write!(0n, Buffer.alloc(4 << 20, 1)),
      error => (error as NodeJS.ErrnoException).code === 'ENOSPC',
    );
    await device.close!();
  } finally {
    execFileSync('umount', [mounted]);
  }
});

test('read-only files and read-only requests', async () => {
  const path = image('readonly', 'abc');
  const source = await pluginSource('file', path);
  const device = await source.open({ ...REQUEST, readOnly: true });
  assert.equal(device.write, undefined);
  assert.equal(device.trim, undefined);
  assert.equal(await text(device, 0n, 3), 'abc');
  await device.close!();
});

test('the files of a directory are exports', async () => {
  image('many/one', 'first');
  image('many/two', 'second');
  image('outside', 'linked');
  fs.mkdirSync(join(folder, 'many/sub'));
  fs.symlinkSync('../outside', join(folder, 'many/link'));
  fs.symlinkSync('loop', join(folder, 'many/loop'));
  fs.symlinkSync('/dev/null', join(folder, 'many/null'));
  const many = await pluginSource('file', `dir=${join(folder, 'many')}`);
  const names = (await many.list!(REQUEST))!.map(({ name }) => name).sort();
  assert.deepEqual(names, ['link', 'one', 'two']);
  for (const [exportName, content] of [['two', 'second'] as const, ['link', 'linked'] as const]) {
    const device = await many.open({ ...REQUEST, exportName });
    assert.equal(await text(device, 0n, 6), content);
    await device.close!();
  }
  const bad = ['', '..', '.', 'sub', 'null', 'loop', 'three', '../outside', 'sub/../one', 'a\0b'];
  for (const exportName of [...bad, 'x'.repeat(4096)]) {
    await assert.rejects(
      async () => await many.open({ ...REQUEST, exportName }),
      error => error instanceof BlockError,
      JSON.stringify(exportName),
    );
  }
});

test('a directory by descriptor', { skip: linux }, async () => {
  image('described/one', 'first');
  const fd = fs.openSync(join(folder, 'described'), 'r');
  const source = await pluginSource('file', `dirfd=${fd}`);
  assert.deepEqual(await source.list!(REQUEST), [{ name: 'one' }]);
  const device = await source.open({ ...REQUEST, exportName: 'one' });
  assert.equal(await text(device, 0n, 5), 'first');
  await device.close!();
  fs.closeSync(fd);
});

test('an inherited descriptor stays open and may be for reading only', {
  skip: linux,
}, async () => {
  const fd = fs.openSync(image('inherited', 'abc'), 'r');
  const source = await pluginSource('file', `fd=${fd}`);
  for (let connection = 0; connection < 2; connection++) {
    const device = await source.open(REQUEST);
    assert.equal(device.write, undefined);
    assert.equal(await text(device, 0n, 3), 'abc');
    await device.close?.();
  }
  fs.closeSync(fd);
});

test('wrong parameters are named', async () => {
  const path = image('right', 'x');
  const wrong: readonly (readonly [words: string[], message: RegExp])[] = [
    [[], /expected one of file, dir, fd or dirfd: none was given/],
    [[path, `dir=${folder}`], /they exclude each other/],
    [[join(folder, 'missing')], /^file: '.*missing': no such file or directory$/],
    [[folder], /is a directory: use dir=/],
    [['/dev/null'], /expected a regular file or a block device/],
    [[`dir=${path}`], /is not a directory: use file=/],
    [['fd=9999'], /^fd: '9999': bad file descriptor$/],
    [[path, 'fadvise=x'], /fadvise: unknown value 'x': expected one of normal, random/],
    [[path, 'cache=x'], /cache: unknown value 'x'/],
  ];
  for (const [words, message] of wrong) {
    await assert.rejects(openPlugin('file', ...words), { name: 'UsageError', message });
  }
});
