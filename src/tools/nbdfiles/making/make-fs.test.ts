import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseCommandLine } from '../../cli.ts';
import makeFs from './make-fs.ts';

for (const [words, message] of [
  [['one'], /expected a folder or a tar archive, and the name/],
  [['/nowhere/x', 'disk'], /nowhere\/x: no such file/],
  [['-t', 'xfs', '.', 'disk'], /--type: xfs: expected ext2, ext3/],
  [['-F', 'luks', '.', 'disk'], /--format: luks: expected one of raw, qcow2/],
  [['--partition=apm', '.', 'disk'], /--partition: apm: expected mbr or gpt/],
  [['--partition', '-s', '1M', '.', 'disk'], /--size: is too small/],
  [['-s', 'much', '.', 'disk'], /size: cannot parse 'much'/],
  [['--label', 'seventeen letters', '.', 'disk'], /label: .*at most 16 bytes/],
  [['--blocksize=4096', '-t', 'fat', import.meta.dirname, 'disk'], /--blocksize: FAT/],
  [[import.meta.filename, 'disk'], /^tar: failed with status 2: This does not look like a tar/],
] as const) {
  test(`make-fs ${words.map(word => word.replace(/^.*make-fs.test/, 'x')).join(' ')}`, async () => {
    const line = parseCommandLine<string>(makeFs.options, words);
    const run = makeFs.run({ ...line, commands: [], program: 'test' });
    await assert.rejects(run, { message });
  });
}
