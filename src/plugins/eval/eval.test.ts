import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deviceContract } from '../../../test/contract/contract.ts';
import { openPlugin, pluginSource, REQUEST } from '../../../test/contract/open.ts';
import { contiguous } from '../../block/data.ts';
import { supportOf } from '../../block/support.ts';

const DISK = [
  'thread_model=echo parallel',
  'config_complete=truncate -s 40000 $tmpdir/disk',
  'open=echo $tmpdir/disk',
  'get_size=stat -c %s $2',
  'pread=dd iflag=skip_bytes,count_bytes skip=$4 count=$3 if=$2',
  'pwrite=dd conv=notrunc oflag=seek_bytes seek=$4 of=$2',
];

deviceContract('eval, a file', () => openPlugin('eval', ...DISK), {
  writes: 'kept',
  steps: 2,
  window: 4096,
});

test('methods are capabilities', async () => {
  const source = await pluginSource('eval', ...DISK, 'flush=:', 'trim=:', 'zero=exit 2', 'cache=:');
  const device = await source.open(REQUEST);
  assert.deepEqual(supportOf(device), {
    fua: 'emulated',
    zero: 'native',
    fastZero: 'none',
    cache: 'native',
  });
  await device.flush!();
  await device.trim!(0n, 10);
  await assert.rejects(async () => device.zero!(0n, 10), { errno: 'ENOTSUP' });
  assert.equal(device.extents, undefined);
  await source.close!();
});

test('missing stands for the methods that are not there', async () => {
  const missing =
    'missing=case $1 in pread) printf "%s" "$@" ;; can_write) exit 3 ;; *) exit 2 ;; esac';
  const device = await openPlugin('eval', 'get_size=echo 10', missing);
  const data = contiguous(await device.read(0n, 7));
  assert.equal(Buffer.from(data).toString(), 'pread70');
  assert.equal(device.write, undefined);
});

test('parameters that are no methods go to config', async () => {
  const words = ['get_size=cat $tmpdir/size', 'config=echo $3 >$tmpdir/$2'];
  assert.equal((await openPlugin('eval', ...words, 'size=7')).size, 7n);
  await assert.rejects(openPlugin('eval', 'size=7'), /unknown parameter 'size'.*config/);
  await assert.rejects(openPlugin('eval', 'open=:', 'open=:'), /open: given more than once/);
});
