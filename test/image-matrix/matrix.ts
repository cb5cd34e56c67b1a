/**
 * `npm run test:image-matrix`: images of all formats with all that one can choose, made, written and
 * converted to by nbdimg: qemu-img finds them good, and the same disk in them. Then some choices
 * together, as a seed says, for so many seconds.
 */
import assert from 'node:assert/strict';
import process from 'node:process';
import { test } from 'node:test';
import { Random } from '../../src/testing/model.ts';
import { has } from '../interop/programs.ts';
import { temporaryFolder } from '../peer/wire.ts';
import { Matrix } from './image.ts';
import { EACH, randomRow } from './rows.ts';

const SECONDS = Number(process.env.NBDPIPE_FUZZ_SECONDS ?? 120);
const SEED = Number(process.env.NBDPIPE_FUZZ_SEED ?? 1);

for (const [format, words] of Object.entries(EACH)) {
  test(format, async t => {
    if (!has(t, 'qemu-img', 'qemu-io')) return;
    const matrix = await Matrix.create(temporaryFolder(t));
    for (const each of words) {
      await t.test(`${format} ${each}`, async () => {
        const isMade = await matrix.holds({ format, words: each }, new Random(1));
        assert.ok(isMade, 'it is refused');
      });
    }
  });
}

test('choices together', async t => {
  if (!has(t, 'qemu-img', 'qemu-io')) return;
  const matrix = await Matrix.create(temporaryFolder(t));
  const count = { made: 0, refused: 0 };
  const end = Date.now() + SECONDS * 1000;
  for (let seed = SEED; Date.now() < end; seed++) {
    const row = randomRow(new Random(seed));
    await t.test(`${row.format} ${row.words}, seed ${seed}`, async () => {
      count[(await matrix.holds(row, new Random(seed))) ? 'made' : 'refused'] += 1;
    });
  }
  t.diagnostic(`${count.made} images, ${count.refused} that both refuse`);
});
