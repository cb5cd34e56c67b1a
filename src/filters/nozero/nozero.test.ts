import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openOver, openPlugin } from '../../../test/contract/open.ts';
import { kindsOf, recorded } from '../../../test/peer/recorder.ts';
import { zeroRange } from '../../block/emulate.ts';
import { supportOf } from '../../block/support.ts';

/** A filter over memory, and what it asks the memory for. */
async function opened(...words: string[]) {
  const { device: below, calls } = recorded(await openPlugin('memory', '1M'));
  return { device: await openOver(below, ['nozero', ...words].join(' ')), calls, below };
}

test('what is said of zeroing', async () => {
  const said = async (...words: string[]) => {
    const { zero, fastZero } = supportOf((await opened(...words)).device);
    return [zero, fastZero];
  };
  assert.deepEqual(await said(), ['none', 'none']);
  assert.deepEqual(await said('zeromode=emulate'), ['emulated', 'emulated']);
  assert.deepEqual(await said('zeromode=emulate', 'fastzeromode=none'), ['emulated', 'none']);
  assert.deepEqual(await said('zeromode=plugin'), ['native', 'native']);
  assert.deepEqual(await said('zeromode=notrim', 'fastzeromode=none'), ['native', 'none']);
});

test('what becomes of it', async () => {
  const emulated = await opened('zeromode=emulate');
  await zeroRange(emulated.device, 0n, 4096, { mayTrim: true });
  assert.deepEqual(kindsOf(emulated.calls), ['write']);
  const kept = await opened('zeromode=notrim');
  await zeroRange(kept.device, 0n, 4096, { mayTrim: true, fastZero: true });
  assert.deepEqual(kindsOf(kept.calls), ['zero fastZero']);
  const ignored = await opened('zeromode=plugin', 'fastzeromode=ignore');
  await zeroRange(ignored.device, 0n, 4096, { mayTrim: true, fastZero: true });
  assert.deepEqual(kindsOf(ignored.calls), ['zero mayTrim']);
  const slow = await opened('zeromode=plugin', 'fastzeromode=slow');
  await assert.rejects(zeroRange(slow.device, 0n, 4096, { fastZero: true }), { errno: 'ENOTSUP' });
  await zeroRange(slow.device, 0n, 4096);
  assert.deepEqual(kindsOf(slow.calls), ['zero']);
});

test('a disk that does not want it, and one that is only read', async () => {
  const { device: none, below } = await opened();
  await assert.rejects(openOver(none, 'nozero zeromode=plugin'), {
    message: "zeromode 'plugin' requires plugin zero support",
  });
  assert.equal(await openOver(below, 'nozero', { readOnly: true }), below);
});
