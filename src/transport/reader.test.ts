import assert from 'node:assert/strict';
import { PassThrough, Writable } from 'node:stream';
import { test } from 'node:test';
import { BlockError } from '../block/errors.ts';
import { ByteReader } from './reader.ts';
import { StreamTransport } from './stream.ts';

const LIMIT = 1 << 14;

function streams(): { input: PassThrough; transport: StreamTransport } {
  const input = new PassThrough({ highWaterMark: 1 << 20 });
  const output = new Writable({ write: (_bytes, _encoding, done) => done() });
  return { input, transport: new StreamTransport(input, output) };
}

const numbered = (length: number) => Buffer.from(Array.from({ length }, (_, at) => at % 251));

test('pieces of every size come out as they went in, in chunks of any size', async () => {
  const { input, transport } = streams();
  const reader = new ByteReader(transport, LIMIT);
  const all = numbered(500_000);
  let written = 0;
  for (const size of [100_000, 1, 65_536, 200_000, 134_463]) {
    input.write(all.subarray(written, written + size));
    written += size;
  }
  let taken = 0;
  for (const size of [1, 16, LIMIT - 1, LIMIT, LIMIT, 100, LIMIT]) {
    const bytes = await reader.take(size);
    assert.ok(bytes.equals(all.subarray(taken, taken + size)), `${size} bytes at ${taken}`);
    taken += size;
  }
  await reader.skip(400_000 - taken);
  assert.deepEqual(await reader.take(10), all.subarray(400_000, 400_010));
});

test('the end of the stream is an error for whoever waits', async () => {
  const { input, transport } = streams();
  const reader = new ByteReader(transport, LIMIT);
  input.end(Buffer.from('abc'));
  assert.deepEqual(await reader.take(2), Buffer.from('ab'));
  await assert.rejects(reader.take(2), (error: unknown) => {
    return error instanceof BlockError && error.errno === 'ECONNRESET';
  });
});
