/** A share of `npm run test:image-matrix`: images with some choices together. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatNamed } from '../../src/formats/formats.ts';
import { Random } from '../../src/testing/model.ts';
import { Matrix } from '../image-matrix/image.ts';
import { EACH, type Row, randomRow, SECRET } from '../image-matrix/rows.ts';
import { temporaryFolder } from '../peer/wire.ts';
import { has } from './programs.ts';

/** qemu knows no second version of LUKS. */
const OURS_ALONE = ['luks version'];

test('the matrix of images has all options of all formats', async () => {
  for (const [format, choices] of Object.entries(EACH)) {
    const tried = choices.join(',').split(',');
    const { options = {} } = await formatNamed(format);
    for (const option of Object.keys(options)) {
      if (OURS_ALONE.includes(`${format} ${option}`)) continue;
      assert.ok(
        tried.some(word => word.startsWith(`${option}=`)),
        `${format} ${option}`,
      );
    }
  }
});

const WITHIN = `encrypt.format=luks,encrypt.key-secret=${SECRET},encrypt.iter-time=10`;

const ROWS: readonly Row[] = [
  { format: 'qcow2', words: `data_file=data,${WITHIN}` },
  ...[102, 104].map(seed => randomRow(new Random(seed))),
];

test('images with some choices, made, written and converted to, are good for qemu', async t => {
  if (!has(t, 'qemu-img', 'qemu-io')) return;
  const matrix = await Matrix.create(temporaryFolder(t));
  for (const row of ROWS) {
    await t.test(`${row.format} ${row.words}`, async () => {
      await matrix.holds(row, new Random(1));
    });
  }
});
