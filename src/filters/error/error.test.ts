import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { openOver, openPlugin } from '../../../test/contract/open.ts';
import type { BlockDevice } from '../../block/device.ts';

const folder = mkdtempSync(join(tmpdir(), 'nbdpipe-error-'));
after(() => rmSync(folder, { recursive: true }));

const opened = async (words: string) =>
  await openOver(await openPlugin('memory', '1M'), `error ${words}`);

const REQUESTS: Readonly<Record<string, (device: BlockDevice) => unknown>> = {
  pread: device => device.read(0n, 1),
  pwrite: device => device.write!(0n, Buffer.of(1)),
  trim: device => device.trim!(0n, 1),
  zero: device => device.zero!(0n, 1),
  extents: device => device.extents!(0n, 1),
  cache: device => device.cache!(0n, 1),
};

test('all kinds, or some, with their errors', async () => {
  const all = await opened('error=ENOSPC error-rate=100%');
  const some = await opened('error=EPERM error-zero=EINVAL error-trim-rate=1 error-zero-rate=1:1');
  for (const [name, request] of Object.entries(REQUESTS)) {
    const message = `injecting ENOSPC error into ${name}`;
    assert.throws(() => request(all), { name: 'BlockError', errno: 'ENOSPC', message });
    const errno = { trim: 'EPERM', zero: 'EINVAL' }[name];
    if (errno) assert.throws(() => request(some), { errno });
    else await request(some);
  }
  await all.flush!();
});

test('without a rate nothing fails', async () => {
  const device = await opened('error=EIO');
  for (const request of Object.values(REQUESTS)) await request(device);
});

test('a file switches errors on and off', async () => {
  const file = join(folder, 'trigger');
  const device = await opened(`error-pread-rate=1 error-pread-file=${file}`);
  await device.read(0n, 1);
  writeFileSync(file, '');
  assert.throws(() => device.read(0n, 1), { errno: 'EIO' });
  rmSync(file);
  await device.read(0n, 1);
});

test('a seed makes them reproducible', async () => {
  const failures = async () => {
    const device = await opened('error-rate=25% error-seed=7');
    const results = Array.from({ length: 400 }, () => {
      try {
        device.read(0n, 1);
        return 0;
      } catch {
        return 1;
      }
    });
    return results;
  };
  const first = await failures();
  const count = first.filter(Boolean).length;
  assert.ok(count > 60 && count < 140, `${count} of 400`);
  assert.deepEqual(await failures(), first);
});
