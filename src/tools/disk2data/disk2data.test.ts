import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  closeSync,
  mkdtempSync,
  openSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { openPlugin } from '../../../test/contract/open.ts';
import { findCNbdkit, servedByC } from '../../../test/peer/c-nbdkit.ts';
import { commandOf } from '../../../test/peer/command.ts';
import { Random, readBytes } from '../../testing/model.ts';
import { describeImage } from './describe.ts';

const folder = mkdtempSync(join(tmpdir(), 'nbdpipe-disk2data-'));
after(() => rmSync(folder, { recursive: true }));
const path = join(folder, 'disk');

/** A file with bytes at offsets; it ends after `size` bytes. */
function image(pieces: readonly (readonly [offset: number, bytes: Buffer])[], size: number): void {
  const fd = openSync(path, 'w');
  for (const [offset, bytes] of pieces) writeSync(fd, bytes, 0, bytes.length, offset);
  closeSync(fd);
  truncateSync(path, size);
}

function described(): string {
  const fd = openSync(path, 'r');
  try {
    return [...describeImage(fd)].join('');
  } finally {
    closeSync(fd);
  }
}

const digest = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

test('what repeats, text, zeroes and numbers are told apart', () => {
  const sector = Buffer.alloc(512);
  sector.write('boot', 3);
  sector.writeUInt16LE(0xaa55, 510);
  image(
    [
      [0, Buffer.alloc(3 * 512, sector)],
      [4096, Buffer.alloc(4096, Buffer.from([0x55, 0xaa]))],
      [1 << 20, Buffer.alloc(3 << 20, 7)],
      [5 << 20, Buffer.from('say "hi"\n\\o/\x00\x01\x02')],
    ],
    8 << 20,
  );
  assert.deepEqual(described().split('\n'), [
    '( 0 0 0 "boot" 0*503 85 170 )*3',
    '@0x1000 ( 85 170 )*2048',
    '@0x100000 7*3145728',
    '@0x500000 "say \\"hi\\"\\n\\\\o/" 0 1 2',
    '@0x800000',
    '',
  ]);
});

test('a repeat goes on over all chunks that are read', () => {
  image([[0, Buffer.alloc(5_000_001, 'abc')]], 5_000_001);
  assert.equal(described(), '( 97 98 99 )*1666667\n');
});

test('holes are not read', () => {
  image([[2 ** 40, Buffer.from([1])]], 2 ** 41);
  assert.equal(described(), '@0x10000000000 1\n@0x20000000000\n');
  image([], 0);
  assert.equal(described(), '');
});

test('the expression gives the same bytes again', async () => {
  const random = new Random(5);
  for (let round = 0; round < 6; round++) {
    const pieces = Array.from({ length: 20 }, () => piece(random));
    image(pieces, 3_000_000);
    const text = described();
    const expression = join(folder, 'expression');
    writeFileSync(expression, text);
    const device = await openPlugin('data', `data=+${expression}`);
    assert.equal(device.size, 3_000_000n);
    const file = await openPlugin('file', path);
    const expected = digest(await readBytes(file, 0n, 3_000_000));
    await file.close!();
    assert.equal(digest(await readBytes(device, 0n, 3_000_000)), expected);
  }
});

function piece(random: Random): [number, Buffer] {
  const offset = random.below(2_900_000);
  const noise = Buffer.from(Array.from({ length: 1 + random.below(600) }, () => random.below(256)));
  const length = 1 + random.below(random.below(2) ? 100_000 : 50);
  const kinds = [noise, Buffer.alloc(length, noise), Buffer.alloc(length, noise.subarray(0, 3))];
  return [offset, kinds[random.below(kinds.length)]!];
}

test('C nbdkit serves the same bytes of a small disk', t => {
  const nbdkit = findCNbdkit();
  if (!nbdkit) return t.skip('needs nbdkit and nbdcopy of the C project');
  const bytes = Buffer.alloc(70_000, 'text\n\x01"\\');
  Buffer.from('0002020000831f00001f01000000ff07', 'hex').copy(bytes, 446);
  image([[0, bytes]], 1 << 20);
  assert.equal(
    digest(servedByC(nbdkit, 'data', described())!),
    digest(Buffer.concat([bytes, Buffer.alloc((1 << 20) - bytes.length)])),
  );
});

test('the command', () => {
  const run = (...words: string[]) =>
    spawnSync(process.execPath, [...commandOf('disk2data'), ...words], { encoding: 'utf8' });
  image([[0, Buffer.from('abcdef')]], 512);
  assert.equal(run(path).stdout, '"abcdef"\n@0x200\n');
  for (const [words, message] of [
    [[join(folder, 'none')], `disk2data: ${folder}/none: no such file or directory\n`],
    [[folder], `disk2data: ${folder}: expected a regular file or a block device\n`],
    [[], 'disk2data: expected the name of one disk image: see --help\n'],
  ] as const) {
    const { status, stdout, stderr } = run(...words);
    assert.deepEqual({ status, stdout, stderr }, { status: 1, stdout: '', stderr: message });
  }
  assert.match(run('--help').stdout, /^disk2data \[--help\]/);
});
