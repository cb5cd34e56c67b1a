import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { commandOf } from '../../test/peer/command.ts';
import { temporaryFolder } from '../../test/peer/wire.ts';
import type { BlockDevice, Extent } from '../block/device.ts';
import { serve } from '../server/server.ts';
import { firstLeft } from './erase.ts';

const MIB = 1 << 20;

const hole = (length: number): Extent => ({ length, hole: true, zero: true });
const data = (length: number): Extent => ({ length, hole: false, zero: false });

test('what is left is found where it is, and holes are not read', async () => {
  const bytes = Buffer.alloc(MIB);
  const reads: bigint[] = [];
  const device: BlockDevice = {
    size: BigInt(MIB),
    read: (offset, length) => {
      reads.push(offset);
      return bytes.subarray(Number(offset), Number(offset) + length);
    },
    extents: offset =>
      offset < 65536n ? [hole(65536 - Number(offset))] : [data(MIB - Number(offset))],
  };
  const all = { from: 0n, to: BigInt(MIB) };
  assert.equal(await firstLeft({ zero: false }, device, all), 65536n);
  assert.equal(await firstLeft({ zero: false }, device, { from: 0n, to: 65536n }), undefined);
  assert.equal(await firstLeft({ zero: true }, device, all), undefined);
  assert.ok(reads.every(offset => offset >= 65536n));
  bytes[700_001] = 1;
  assert.equal(await firstLeft({ zero: true }, device, all), 700_001n);
  assert.equal(await firstLeft({ zero: true }, device, { from: 700_002n, to: all.to }), undefined);
  const { extents, ...silent } = device;
  assert.equal(await firstLeft({ zero: false }, silent, { from: 512n, to: 1024n }), 512n);
});

/** A disk of ones, what was asked of it, and a command run at it. */
async function served(
  t: TestContext,
  lacking: { readonly [M in keyof BlockDevice]?: BlockDevice[M] | undefined } = {},
) {
  const bytes = Buffer.alloc(MIB, 1);
  const asked: string[] = [];
  const erase = (kind: string) => (offset: bigint, length: number, options?: object) => {
    const { mayTrim = false, fastZero = false } = (options ?? {}) as Record<string, boolean>;
    asked.push(`${kind} ${offset} ${length} ${mayTrim} ${fastZero}`);
    bytes.fill(0, Number(offset), Number(offset) + length);
  };
  const device = {
    size: BigInt(MIB),
    fastZero: 'native',
    read: (offset, length) => bytes.subarray(Number(offset), Number(offset) + length),
    write: () => {
      asked.push('write');
    },
    flush: () => {
      asked.push('flush');
    },
    trim: erase('trim'),
    zero: erase('zero'),
    ...lacking,
  } as BlockDevice;
  const path = join(temporaryFolder(t), 'socket');
  const server = await serve(device, { listen: { path } });
  t.after(() => server.close());
  const run = async (name: string, input: string, ...words: string[]) => {
    const uri = `nbd+unix:///?socket=${path}`;
    const child = spawn(process.execPath, [...commandOf(name), ...words, uri]);
    let said = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', text => {
        said += text;
      });
    }
    child.stdin.on('error', () => {});
    child.stdin.end(input);
    const [status] = await once(child, 'close');
    return { status, said: said.replaceAll(uri, 'URI'), asked: asked.splice(0) };
  };
  return { run, bytes };
}

test('nothing is erased unless the answer is yes', async t => {
  const { run, bytes } = await served(t);
  const question = 'PERMANENTLY ERASE everything on URI bytes 0 - 1048575 (y/N)? ';
  for (const { status, said, asked } of await Promise.all([
    run('nbdzero', ''),
    run('nbdzero', 'no\n'),
  ])) {
    assert.deepEqual([status, asked], [1, []]);
    assert.equal(said, `${question}nothing was changed\n`);
  }
  assert.deepEqual(await run('nbdzero', 'y\n'), {
    status: 0,
    said: question,
    asked: ['zero 0 1048576 false false', 'flush'],
  });
  assert.ok(bytes.every(byte => byte === 0));
});

test('a part is discarded, or zeroed fast; a check changes nothing', async t => {
  const { run } = await served(t);
  assert.deepEqual(await run('nbddiscard', '', '-c', '-z'), {
    status: 2,
    said: 'URI: not zero at offset 0\n',
    asked: [],
  });
  const part = ['-y', '--offset=4k', '-l', '8192'];
  const { asked } = await run('nbddiscard', '', ...part);
  assert.deepEqual(asked, ['trim 4096 8192 false false', 'flush']);
  const fast = await run('nbddiscard', '', '--fast-zero', ...part);
  assert.deepEqual(fast.asked, ['zero 4096 8192 false true', 'flush']);
});

test('what cannot be done is refused before anybody is asked', async t => {
  const { run } = await served(t, { trim: undefined, fastZero: 'none' });
  const [discard, fast] = await Promise.all([
    run('nbddiscard', 'y\n'),
    run('nbdzero', 'y\n', '--fast-zero'),
  ]);
  assert.match(discard.said, /^nbddiscard: the server does not discard: nbdzero erases there\n$/);
  assert.match(fast.said, /^nbdzero: --fast-zero: the server does not know fast zeroing\n$/);
  assert.deepEqual([discard.status, fast.status, discard.asked, fast.asked], [1, 1, [], []]);
});
