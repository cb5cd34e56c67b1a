import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openOver, openPlugin } from '../../../test/contract/open.ts';
import type { BlockDevice } from '../../block/device.ts';

const REQUESTS: Readonly<Record<string, (device: BlockDevice, signal: AbortSignal) => unknown>> = {
  read: (device, signal) => device.read(0n, 1, { signal }),
  write: (device, signal) => device.write!(0n, Buffer.of(1), { signal }),
  zero: (device, signal) => device.zero!(0n, 1, { signal }),
  trim: (device, signal) => device.trim!(0n, 1, { signal }),
  extents: (device, signal) => device.extents!(0n, 1, { signal }),
  cache: (device, signal) => device.cache!(0n, 1, { signal }),
};

/** The kinds of requests that are slow. */
async function slowKinds(words: string): Promise<string[]> {
  const device = await openOver(await openPlugin('memory', '1M'), `delay ${words}`);
  const slow: string[] = [];
  for (const [kind, request] of Object.entries(REQUESTS)) {
    const gone = new AbortController();
    const answer = Promise.resolve(request(device, gone.signal)).catch(() => slow.push(kind));
    await new Promise(resolve => setImmediate(resolve));
    gone.abort();
    await answer;
  }
  return slow;
}

test('which requests are slow, until nobody waits any more', async () => {
  assert.deepEqual(await slowKinds('rdelay=60'), ['read']);
  assert.deepEqual(await slowKinds('delay-reads=60'), ['read']);
  assert.deepEqual(await slowKinds('wdelay=60'), ['write', 'zero', 'trim']);
  assert.deepEqual(await slowKinds('wdelay=60 delay-zero=0'), ['write', 'trim']);
  assert.deepEqual(await slowKinds('delay-write=60'), ['write']);
  assert.deepEqual(await slowKinds('delay-trim=60 delay-extents=60'), ['trim', 'extents']);
  assert.deepEqual(await slowKinds('delay-cache=600000ms'), ['cache']);
});

test('fast zeroing may be refused instead', async () => {
  const memory = await openPlugin('memory', '1M');
  const device = await openOver(memory, 'delay delay-zero=60 delay-fast-zero=false');
  assert.throws(() => device.zero!(0n, 1, { fastZero: true }), { errno: 'ENOTSUP' });
  assert.equal((await openOver(memory, 'delay')).fastZero, 'native');
});

test('opening can be slow, and given up', async () => {
  const gone = new AbortController();
  const memory = await openPlugin('memory', '1M');
  const opening = openOver(memory, 'delay delay-open=60', { signal: gone.signal });
  gone.abort(new Error('gone'));
  await assert.rejects(opening, /gone/);
  const device = await openOver(memory, 'delay delay-open=1ms delay-close=1ms');
  await device.close!();
});
