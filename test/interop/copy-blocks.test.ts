import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { contiguous } from '../../src/block/data.ts';
import { keystream } from '../../src/content/keystream.ts';
import { temporaryFolder } from '../peer/wire.ts';
import { has, ourCommands, run, runWell } from './programs.ts';

const MIB = 1 << 20;
const POLICY = [
  'blocksize-minimum=4096',
  'blocksize-preferred=4096',
  'blocksize-maximum=32M',
  'blocksize-error-policy=error',
];

/** Bytes without a pattern, the same each time. */
const noise = (length: number) => Buffer.from(contiguous(keystream(Buffer.alloc(16), 0n, length)));

/** What our nbdcopy leaves on a C server of 2 MiB of 'x' that refuses what is not whole blocks. */
async function copied(t: TestContext, words: string, files: Record<string, Buffer>) {
  const folder = temporaryFolder(t);
  const { path } = ourCommands(t);
  for (const [name, bytes] of Object.entries(files)) writeFileSync(join(folder, name), bytes);
  writeFileSync(join(folder, 'before'), Buffer.alloc(2 * MIB, 'x'));
  const script = `nbdcopy before "$uri" && ${words} && nbdcopy "$uri" after`;
  const server = ['-U', '-', '--filter=blocksize-policy', 'memory', '2M', ...POLICY];
  await runWell('nbdkit', [...server, '--run', script], {
    env: { ours: join(path, 'nbdcopy') },
    cwd: folder,
  });
  return readFileSync(join(folder, 'after'));
}

/** The bytes, then what was there before. */
function assertOver(after: Buffer, bytes: Buffer): void {
  assert.ok(after.subarray(0, bytes.length).equals(bytes), 'all is there');
  assert.ok(
    after.subarray(bytes.length).every(byte => byte === 0x78),
    'the rest is as it was',
  );
}

describe('nbdcopy to a server with a minimum block', () => {
  for (const length of [1, 4095, 1_000_001]) {
    test(`${length} bytes, from a pipe and from a file`, async t => {
      if (!has(t, 'nbdkit', 'nbdcopy')) return;
      const odd = noise(length);
      assertOver(await copied(t, 'cat odd | "$ours" - "$uri"', { odd }), odd);
      assertOver(await copied(t, '"$ours" odd "$uri"', { odd }), odd);
    });
  }

  test('zeroes are searched for in blocks that the server takes', async t => {
    if (!has(t, 'nbdkit', 'nbdcopy')) return;
    const thin = Buffer.alloc(MIB);
    for (let at = 0; at < MIB; at += 1024) thin[at] = 1;
    thin.fill(0, 100_000, 200_000);
    assertOver(await copied(t, '"$ours" -S 512 thin "$uri"', { thin }), thin);
  });

  test('a pipe that is longer than the server is an error', async t => {
    if (!has(t, 'nbdkit', 'nbdcopy')) return;
    const { path } = ourCommands(t);
    const script = 'head -c 5000000 /dev/zero 2>/dev/null | "$ours" - "$uri"';
    const server = ['-U', '-', '--filter=blocksize-policy', 'memory', '2M', ...POLICY];
    const env = { ours: join(path, 'nbdcopy') };
    const { status, stderr } = await run('nbdkit', [...server, '--run', script], { env });
    assert.equal(status, 1);
    assert.equal(stderr, 'nbdcopy: destination size is smaller than source size\n');
  });
});
