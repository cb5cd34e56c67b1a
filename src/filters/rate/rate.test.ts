import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { REQUEST, watchedSource } from '../../../test/contract/open.ts';

const folder = mkdtempSync(join(tmpdir(), 'nbdpipe-rate-'));
after(() => rmSync(folder, { recursive: true }));

/** Whether a request would wait for long; it is given up then. */
async function waits(act: (signal: AbortSignal) => unknown): Promise<boolean> {
  const gone = new AbortController();
  const request = Promise.resolve(act(gone.signal)).then(
    () => false,
    () => true,
  );
  const soon = new Promise<void>(resolve => setTimeout(resolve, 20));
  await Promise.race([request, soon]);
  gone.abort();
  return await request;
}

test('what is over the burst waits; reads and writes do not wait for each other', async () => {
  const { source } = await watchedSource('memory 1M', 'rate rate=8000 burstiness=2');
  const device = await source.open(REQUEST);
  const other = await source.open(REQUEST);
  const read = (from: typeof device, length: number) =>
    waits(signal => from.read(0n, length, { signal }));
  assert.equal(await read(device, 1900), false);
  assert.equal(await read(other, 1900), true, 'all clients together');
  assert.equal(await waits(signal => other.write!(0n, Buffer.alloc(1900), { signal })), false);
});

test('each client has its own', async () => {
  const { source } = await watchedSource('memory 1M', 'rate connection-rate=8000');
  const devices = [await source.open(REQUEST), await source.open(REQUEST)];
  for (const device of devices) {
    assert.equal(await waits(signal => device.read(0n, 1900, { signal })), false);
    assert.equal(await waits(signal => device.read(0n, 1900, { signal })), true);
  }
});

test('a file changes the rate while the server runs', async () => {
  const file = join(folder, 'rate');
  const { source, notes } = await watchedSource('memory 1M', `rate rate=8 rate-file=${file}`);
  const device = await source.open(REQUEST);
  const read = () => waits(signal => device.read(0n, 1000, { signal }));
  assert.equal(await read(), true);
  writeFileSync(file, 'nonsense');
  assert.equal(await read(), true);
  writeFileSync(file, '0\n');
  assert.equal(await read(), false);
  assert.deepEqual(notes, ['rate adjusted from 8 to 0']);
  rmSync(file);
  assert.equal(await read(), false);
});
