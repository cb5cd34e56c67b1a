import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openOver, openPlugin } from '../../../test/contract/open.ts';
import { recorded } from '../../../test/peer/recorder.ts';
import { StrictDevice } from '../../../test/peer/strict-device.ts';

/** The filter over memory, and what the memory is asked for. */
async function opened(words: string) {
  const { device: below, calls } = recorded(await openPlugin('memory', '1000000'));
  const device = await openOver(below, `blocksize ${words}`);
  const asked = () =>
    calls.splice(0).map(({ kind, offset, length }) => `${kind} ${offset} ${length}`);
  return { device, asked };
}

test('blocks that change in part are read and written', async () => {
  const { device, asked } = await opened('minblock=1024');
  assert.equal(device.size, 999_424n, 'only whole blocks');
  await device.read(1n, 1);
  assert.deepEqual(asked(), ['read 0 1024']);
  await device.write!(10001n, Buffer.of(1));
  assert.deepEqual(asked(), ['read 9216 1024', 'write 9216 1024']);
  await device.zero!(20001n, 1);
  assert.deepEqual(asked(), ['read 19456 1024', 'write 19456 1024']);
  await device.trim!(30001n, 1);
  assert.deepEqual(asked(), []);
});

test('long requests are cut', async () => {
  const { device, asked } = await opened('minblock=1024 maxdata=64k maxlen=128k');
  await device.read(0n, 100_000);
  assert.deepEqual(asked(), ['read 0 65536', 'read 65536 34816']);
  await device.write!(0n, Buffer.alloc(131_072));
  assert.deepEqual(asked(), ['write 0 65536', 'write 65536 65536']);
  await device.zero!(0n, 140_288);
  assert.deepEqual(asked(), ['zero 0 131072', 'zero 131072 9216']);
  await device.trim!(0n, 140_288);
  assert.deepEqual(asked(), ['trim 0 131072', 'trim 131072 9216']);
  await device.cache!(0n, 65_537);
  assert.deepEqual(asked(), ['cache 0 65536', 'cache 65536 1024']);
  await device.extents!(0n, 999_424);
  assert.deepEqual(asked(), ['extents 0 131072']);
  assert.throws(() => device.zero!(0n, 140_288, { fastZero: true }), { errno: 'ENOTSUP' });
});

test('what the disk wants counts as well', async () => {
  const blockSize = { minimum: 512, preferred: 8192, maximum: 4096 };
  const disk = new StrictDevice(Buffer.alloc(10_000), { blockSize });
  const device = await openOver(disk, 'blocksize');
  assert.equal(device.size, 9728n);
  assert.deepEqual(device.blockSize, { minimum: 1, preferred: 8192, maximum: 2 ** 32 - 1 });
  await device.write!(3n, Buffer.alloc(9000, 1));
  await assert.rejects(openOver(disk, 'blocksize minblock=64k'), {
    message: 'the disk has blocks of 65536 bytes, which do not fit',
  });
});

test('limits that do not go together', async () => {
  for (const [words, message] of [
    ['minblock=3', 'minblock must be a power of 2'],
    ['minblock=128k', 'minblock must not exceed 65536'],
    ['minblock=1k maxdata=1000', 'maxdata must be a multiple of 1024'],
    ['minblock=1k maxlen=1000', 'maxlen must be a multiple of 1024'],
  ] as const) {
    await assert.rejects(opened(words), { name: 'UsageError', message });
  }
});

test('runs of less than a block below are runs of whole blocks here', async () => {
  const device = await openOver(
    {
      size: 65536n,
      read: (_offset, length) => Buffer.alloc(length),
      extents: offset => {
        const hole = offset >= 512n && offset < 8192n;
        return [{ length: 512, hole, zero: hole }];
      },
    },
    'blocksize minblock=4k',
  );
  assert.deepEqual(await device.extents!(0n, 8192), [{ length: 4096, hole: false, zero: false }]);
  assert.deepEqual(await device.extents!(4097n, 1), [{ length: 4095, hole: true, zero: true }]);
});
