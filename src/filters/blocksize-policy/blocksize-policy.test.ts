import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openOver, openPlugin } from '../../../test/contract/open.ts';
import { StrictDevice } from '../../../test/peer/strict-device.ts';
import type { OpenRequest } from '../../block/device.ts';

/** The filter over memory. @param words without what they all begin with. */
async function opened(words: string, request?: Partial<OpenRequest>) {
  const all = words.split(' ').map(word => `blocksize-${word}`);
  const memory = await openPlugin('memory', '1000000');
  return await openOver(memory, ['blocksize-policy', ...all].join(' '), request);
}

test('what is announced', async () => {
  const { blockSize: given } = await opened('minimum=512 preferred=8k maximum=1M');
  assert.deepEqual(given, { minimum: 512, preferred: 8192, maximum: 1 << 20, advisory: true });
  const { blockSize: rest } = await opened('minimum=512');
  assert.deepEqual(rest, { minimum: 512, preferred: 4096, maximum: 2 ** 32 - 1, advisory: true });
  const { blockSize: strict } = await opened('preferred=64k error-policy=error');
  assert.equal(strict?.advisory, false, 'callers keep to it');
  const { blockSize: limited } = await opened('minimum=4k write-disconnect=1000000');
  assert.equal(limited?.maximum, 999424);
  assert.equal((await opened('error-policy=error')).blockSize, undefined);
});

test('requests that do not keep to it are served, or refused', async () => {
  const allowing = await opened('minimum=512');
  await allowing.read(3n, 5);
  const strict = await opened('minimum=512 error-policy=strict-error');
  assert.throws(() => strict.read(512n, 5), { errno: 'EINVAL' });
  assert.throws(() => strict.zero!(999_936n, 64), { errno: 'EINVAL' });
  const lenient = await opened('minimum=512 error-policy=error');
  await lenient.zero!(999_936n, 64);
});

test('what is allowed is made into what a disk of whole blocks takes', async () => {
  const blockSize = { minimum: 4096, preferred: 4096, maximum: 65536 };
  const disk = new StrictDevice(Buffer.alloc(8192), { blockSize });
  const device = await openOver(disk, 'blocksize-policy blocksize-minimum=512');
  await device.read(512n, 512);
  await device.write!(512n, Buffer.alloc(512, 1));
  assert.deepEqual([disk.bytes[511], disk.bytes[512]], [0, 1]);
});

test('what a disk only advises can be asked for', async () => {
  const blockSize = { minimum: 512, preferred: 4096, maximum: 65536, advisory: true };
  const disk = new StrictDevice(Buffer.alloc(8192), { blockSize });
  const device = await openOver(disk, 'blocksize-policy blocksize-error-policy=error');
  assert.throws(() => device.read(1n, 1), { errno: 'EINVAL' });
});

test('a client that writes too much at once is disconnected', async () => {
  const ends: (boolean | undefined)[] = [];
  const disconnect = (force?: boolean) => void ends.push(force);
  const device = await opened('write-disconnect=1000 error-policy=error', { disconnect });
  await device.write!(0n, Buffer.alloc(1000));
  assert.throws(() => device.write!(0n, Buffer.alloc(1001)), { errno: 'ESHUTDOWN' });
  assert.deepEqual(ends, [true]);
});

test('sizes that no disk can have', async () => {
  for (const [words, message] of [
    ['minimum=3', 'blocksize-minimum must be a power of 2'],
    ['minimum=128k', 'blocksize-minimum must be <= 64K'],
    ['preferred=511', 'blocksize-preferred must be a power of 2'],
    ['preferred=64M', 'blocksize-preferred must be between 512 and 32M'],
    ['minimum=512 maximum=1000', /maximum must be -1 or a multiple/],
    ['minimum=4k preferred=512', 'blocksize-minimum must be <= blocksize-preferred'],
    ['preferred=8k maximum=4k', 'blocksize-preferred must be <= blocksize-maximum'],
    ['minimum=4k write-disconnect=4k', /must be larger than blocksize-minimum/],
  ] as const) {
    await assert.rejects(opened(words), { name: 'UsageError', message }, words);
  }
  const blockSize = { minimum: 4096, preferred: 4096, maximum: 65536 };
  const disk = new StrictDevice(Buffer.alloc(8192), { blockSize });
  await assert.rejects(openOver(disk, 'blocksize-policy blocksize-preferred=1M'), {
    message: /^computed block size values are invalid/,
  });
});
