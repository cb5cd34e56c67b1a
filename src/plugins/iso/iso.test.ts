import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { openPlugin, pluginSource, REQUEST } from '../../../test/contract/open.ts';
import { contiguous } from '../../block/data.ts';
import { BlockError, UsageError } from '../../block/errors.ts';
import { findProgram } from '../../posix/program.ts';

const folder = mkdtempSync(join(tmpdir(), 'nbdpipe-iso-'));
const temporary = join(folder, 'tmp');
process.env.TMPDIR = temporary;
after(() => rmSync(folder, { recursive: true }));
mkdirSync(temporary);
for (const [name, content] of [
  ['one/first file.txt', 'first'],
  ['one/sub/inner', 'inner'],
  ["it's $two/second", 'second'],
] as const) {
  mkdirSync(join(folder, name, '..'), { recursive: true });
  writeFileSync(join(folder, name), content);
}
const one = join(folder, 'one');
const two = join(folder, "it's $two");

async function contentOf(...words: string[]): Promise<Buffer> {
  const device = await openPlugin('iso', ...words);
  assert.equal(device.write, undefined);
  assert.equal(device.multiConn, true);
  return Buffer.from(contiguous(await device.read(0n, Number(device.size))));
}

for (const program of ['xorriso', 'genisoimage', 'mkisofs']) {
  test(`directories become an image: ${program}`, async t => {
    if (!findProgram(program)) return t.skip(`needs ${program}`);
    const words = [one, `dir=${two}`, `prog=${program}`, 'params=-JrT -V "My Disk"'];
    const image = await contentOf(...words);
    assert.deepEqual(readdirSync(temporary), []);
    assert.equal(image.toString('latin1', 0x8001, 0x8006), 'CD001');
    assert.equal(image.toString('latin1', 0x8028, 0x8048).trimEnd(), 'My Disk');
    for (const content of ['first', 'inner', 'second']) assert.ok(image.includes(content), content);
    if (!findProgram('isoinfo')) return t.skip('needs isoinfo');
    const path = join(folder, `${program}.iso`);
    writeFileSync(path, image);
    const files = execFileSync('isoinfo', ['-R', '-f', '-i', path], { encoding: 'utf8' });
    for (const name of ['/first file.txt', '/second', '/sub/inner']) {
      assert.ok(files.split('\n').includes(name), `${name} in ${files}`);
    }
  });
}

test('the program that is installed is found; clients share the image', async t => {
  if (!['xorriso', 'genisoimage', 'mkisofs'].some(findProgram)) {
    return t.skip('needs xorriso, genisoimage or mkisofs');
  }
  const source = await pluginSource('iso', one);
  const first = await source.open(REQUEST);
  await first.close?.();
  const second = await source.open(REQUEST);
  const magic = contiguous(await second.read(0x8001n, 5));
  assert.equal(Buffer.from(magic).toString(), 'CD001');
  await source.close!();
});

test('a program that fails: its status and last words, and nothing is left', async () => {
  const failing: [string[], RegExp][] = [
    [['prog=echo why >&2; exit 3 #'], /failed with status 3: why$/],
    [['prog=no-such-program'], /^no-such-program: failed with status 127: .*not found/],
  ];
  for (const [words, message] of failing) {
    await assert.rejects(
      () => openPlugin('iso', one, ...words),
      error => error instanceof BlockError && message.test(error.message),
      words.join(' '),
    );
    assert.deepEqual(readdirSync(temporary), []);
  }
});

test('bad parameters', async () => {
  const bad: [string[], RegExp][] = [
    [[], /^dir: must be given/],
    [[one, join(folder, 'missing')], /^dir: .*missing.*no such file/],
    [[join(one, 'sub/inner')], /^dir: .*expected a directory/],
  ];
  for (const [words, message] of bad) {
    await assert.rejects(
      () => pluginSource('iso', ...words),
      error => error instanceof UsageError && message.test(error.message),
      words.join(' '),
    );
  }
});
