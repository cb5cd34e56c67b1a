import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { openPlugin, pluginSource, REQUEST } from '../../../test/contract/open.ts';
import { findCNbdkit, servedByC } from '../../../test/peer/c-nbdkit.ts';
import { contiguous } from '../../block/data.ts';
import { allExtents } from '../../block/emulate.ts';
import { BlockError, UsageError } from '../../block/errors.ts';

const linux = process.platform === 'linux' ? false : 'needs linux';
const folder = fs.mkdtempSync(join(tmpdir(), 'nbdpipe-split-'));
after(() => fs.rmSync(folder, { recursive: true }));

function file(name: string, content: string | Buffer, size?: number): string {
  const path = join(folder, name);
  fs.writeFileSync(path, content);
  if (size !== undefined) fs.truncateSync(path, size);
  return path;
}

function openFiles(): number {
  return fs.readdirSync('/proc/self/fd').length;
}

test('files in the order given, empty ones between, and a request over several', async () => {
  const paths = [file('a', 'first'), file('empty', ''), file('b', 'second'), file('c', 'third')];
  const device = await openPlugin('split', ...paths, paths[0]!);
  assert.equal(device.size, 21n);
  const bytes = contiguous(await device.read(3n, 16));
  assert.equal(Buffer.from(bytes).toString(), 'stsecondthirdfir');
  await device.write!(4n, Buffer.from('XYYYYYYZ'), { fua: true });
  await device.flush!();
  await device.close!();
  const contents = paths.map(path => fs.readFileSync(path, 'latin1'));
  assert.deepEqual(contents, ['firsX', '', 'YYYYYY', 'Zhird']);
});

test('the same bytes as the C plugin', async t => {
  const nbdkit = findCNbdkit();
  if (!nbdkit) return t.skip('needs C nbdkit and nbdcopy');
  const paths = [file('p', 'odd'), file('q', Buffer.alloc(70_001, 'q'), 150_000), file('r', '!')];
  const theirs = servedByC(nbdkit, 'split', ...paths);
  const device = await openPlugin('split', ...paths);
  const ours = contiguous(await device.read(0n, Number(device.size)));
  await device.close!();
  assert.ok(theirs?.equals(ours));
});

test('holes of each file are holes of the disk', { skip: linux }, async () => {
  const MiB = 1 << 20;
  const paths = [file('x', Buffer.alloc(MiB, 1), 2 * MiB), file('y', '', MiB)];
  const device = await openPlugin('split', ...paths, file('z', Buffer.alloc(MiB, 2)));
  assert.deepEqual(await allExtents(device, 0n, 4 * MiB), [
    { length: MiB, hole: false, zero: false },
    { length: 2 * MiB, hole: true, zero: true },
    { length: MiB, hole: false, zero: false },
  ]);
  await device.trim!(BigInt(MiB / 2), 3 * MiB);
  const [first] = await allExtents(device, 0n, 4 * MiB);
  assert.deepEqual(first, { length: MiB / 2, hole: false, zero: false });
  assert.equal(fs.statSync(paths[0]!).blocks * 512, MiB / 2);
  await device.close!();
});

test('read-only, and several connections', async () => {
  const source = await pluginSource('split', file('one', '1'), file('two', '2'));
  const device = await source.open({ ...REQUEST, readOnly: true });
  assert.deepEqual([device.write, device.trim, device.multiConn], [undefined, undefined, true]);
  await device.close!();
});

test('a file that goes away is an error, and the others are closed', { skip: linux }, async () => {
  const gone = file('gone', 'x');
  const source = await pluginSource('split', file('stays', 'y'), gone);
  fs.rmSync(gone);
  const before = openFiles();
  const isGone = (error: unknown) => error instanceof BlockError && /gone/.test(error.message);
  await assert.rejects(async () => source.open(REQUEST), isGone);
  assert.equal(openFiles(), before);
});

test('far offsets', async t => {
  const huge = file('huge', '');
  try {
    fs.truncateSync(huge, 8 * 2 ** 40);
  } catch {
    return t.skip('needs truncate to 8T on the file system of the tests');
  }
  const source = await pluginSource('split', ...Array(8).fill(huge));
  const device = await source.open(REQUEST);
  assert.equal(device.size, 64n << 40n);
  assert.deepEqual(contiguous(await device.read((64n << 40n) - 3n, 3)), Buffer.alloc(3));
  await device.close!();
});

test('bad parameters', async () => {
  const bad: [string[], RegExp][] = [
    [[], /^file: must be given/],
    [[file('good', ''), join(folder, 'missing')], /^file: .*missing.*no such file/],
    [[folder], /^file: .*expected a regular file/],
    [['file='], /^file: a path must not be empty/],
  ];
  for (const [words, message] of bad) {
    await assert.rejects(
      () => pluginSource('split', ...words),
      error => error instanceof UsageError && message.test(error.message),
      words.join(' '),
    );
  }
});
