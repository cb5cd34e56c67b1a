import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { openPlugin, pluginSource, REQUEST } from '../../../test/contract/open.ts';
import { contiguous } from '../../block/data.ts';
import { allExtents } from '../../block/emulate.ts';
import { BlockError, UsageError } from '../../block/errors.ts';
import { findProgram } from '../../posix/program.ts';

const folder = mkdtempSync(join(tmpdir(), 'nbdpipe-tmpdisk-test-'));
process.env.TMPDIR = folder;
after(() => rmSync(folder, { recursive: true }));

async function text(device: Awaited<ReturnType<typeof openPlugin>>, length: number) {
  return Buffer.from(contiguous(await device.read(0n, length))).toString();
}

test('every client has a fresh file system of its own', async t => {
  if (!findProgram('mkfs.ext4') || !findProgram('e2fsck')) return t.skip('needs mkfs.ext4, e2fsck');
  const source = await pluginSource('tmpdisk', '8M', 'label=fresh');
  const one = await source.open(REQUEST);
  const other = await source.open(REQUEST);
  assert.equal(one.size, 8n << 20n);
  assert.equal(one.multiConn, false);
  assert.deepEqual(readdirSync(folder), []);
  await one.write!(0n, Buffer.from('mine'), { fua: true });
  await one.flush!();
  assert.equal(await text(one, 4), 'mine');
  assert.equal(await text(other, 4), '\0\0\0\0');
  const holes = (await allExtents(other, 0n, 8 << 20)).filter(({ hole }) => hole);
  assert.ok(holes.length > 0, 'it is sparse');

  const image = join(folder, 'image');
  writeFileSync(image, contiguous(await other.read(0n, 8 << 20)));
  execFileSync(findProgram('e2fsck')!, ['-fn', image], { stdio: 'pipe' });
  const superblock = contiguous(await other.read(1024n, 1024)) as Buffer;
  assert.equal(superblock.readUInt16LE(56), 0xef53);
  assert.equal(superblock.toString('latin1', 120, 126), 'fresh\0');
  rmSync(image);
  await one.close!();
  await other.close!();
});

test('labels go to mkfs by the option that the type has', async t => {
  if (!findProgram('mkfs.vfat')) return t.skip('needs mkfs.vfat');
  const device = await openPlugin('tmpdisk', '4M', 'type=vfat', 'label=LABEL');
  assert.match(await text(device, 64), /LABEL {6}FAT1[26]/);
  await device.close!();
});

test('a command makes the disk from variables', async () => {
  const command = 'printf "%s|%s|%s|%s|" "$size" "$type" "$label" "$a_1" >"$disk"; echo seen >&2';
  const words = ['1k', `command=${command}`, "label=it's", 'a_1=$x `y`'];
  const device = await openPlugin('tmpdisk', ...words);
  const expected = "1024|ext4|it's|$x `y`|";
  assert.equal(device.size, BigInt(expected.length));
  assert.equal(await text(device, expected.length), expected);
  assert.deepEqual(readdirSync(folder), []);
  await device.close!();
});

test('opening for reading only', async () => {
  const source = await pluginSource('tmpdisk', '1M', 'command=truncate -s $size "$disk"');
  const device = await source.open({ ...REQUEST, readOnly: true });
  assert.equal(device.write, undefined);
  await device.close!();
});

test('other clients are served while a disk is made', async () => {
  const gate = join(folder, 'gate');
  const command = `command=while [ ! -e "${gate}" ]; do sleep 0.02; done; echo >"$disk"`;
  const source = await pluginSource('tmpdisk', '1M', command);
  const opening = Promise.resolve(source.open(REQUEST));
  const quick = await openPlugin('tmpdisk', '1M', 'command=echo quick >"$disk"');
  assert.equal(await text(quick, 5), 'quick');
  writeFileSync(gate, '');
  await (await opening).close!();
  await quick.close!();
  rmSync(gate);
});

test('failures name the command, its status and its last words, and leave nothing', async () => {
  const failing: [string[], RegExp][] = [
    [['command=echo first >&2; echo why >&2; exit 3'], /^command: failed with status 3: why$/],
    [['command=kill -9 $$'], /^command: was ended by SIGKILL$/],
    [['command=true'], /made no file/],
    [['command=mkdir "$disk"'], /neither a regular file nor a block device/],
    [['type=no-such-type'], /^mkfs\.no-such-type: not found/],
  ];
  for (const [words, message] of failing) {
    await assert.rejects(
      () => openPlugin('tmpdisk', '1M', ...words),
      error => error instanceof BlockError && message.test(error.message),
      words.join(' '),
    );
    assert.deepEqual(readdirSync(folder), []);
  }
});

test('bad parameters', async () => {
  const bad: [string[], RegExp][] = [
    [[], /^size: must be given/],
    [['1Z'], /^size: cannot parse/],
    [['1M', 'type=../../tmp/x'], /^type: /],
    [['1M', 'lable=x'], /^unknown parameter 'lable': expected one of size, type/],
    [['1M', 'command=x', 'a-b=1'], /^unknown parameter 'a-b'/],
    [['1M', 'command=x', 'disk=/dev/sda'], /^disk: /],
  ];
  for (const [words, message] of bad) {
    await assert.rejects(
      () => pluginSource('tmpdisk', ...words),
      error => error instanceof UsageError && message.test(error.message),
      words.join(' '),
    );
  }
  assert.ok(existsSync(folder));
});
