import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, type TestContext, test } from 'node:test';
import { filterSource, openPlugin, REQUEST } from '../../../test/contract/open.ts';
import type { BlockDevice } from '../../block/device.ts';
import { serve } from '../../server/server.ts';
import { Random, readBytes } from '../../testing/model.ts';

const folder = mkdtempSync(join(tmpdir(), 'nbdpipe-verify-'));
after(() => rmSync(folder, { recursive: true }));

const SIZE = 300_001;
const BLOCK = 65_536;

function file(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

const bytes = new Random(12).bytes(SIZE);
const same = file('same', bytes);
const digests: string[] = [];
for (let at = 0; at < SIZE; at += BLOCK) {
  const part = bytes.subarray(at, at + BLOCK);
  digests.push(createHash('sha256').update(part).digest('hex'));
}
const list = file('list', `# split --filter=sha256sum\n${digests.join('  -\n')}  -\n`);

/** A disk that can be written behind the filter's back. */
async function verified(words: string) {
  const below = await openPlugin('memory', `${SIZE}`);
  await below.write!(0n, bytes);
  const source = await filterSource({ open: () => below }, 'verify', ...words.split(' '));
  return { below, device: await source.open({ ...REQUEST, exportName: 'a\n' }) };
}

async function overServer(t: TestContext): Promise<string> {
  const disk = await openPlugin('memory', `${SIZE}`);
  await disk.write!(0n, bytes);
  const server = await serve(disk, { listen: { path: join(folder, 'socket') } });
  t.after(() => server.close());
  return `verify-uri=${server.uri}`;
}

const checkRead = async (device: BlockDevice, offset: number, length: number) =>
  assert.deepEqual(
    Buffer.from(await readBytes(device, BigInt(offset), length)),
    Buffer.from(bytes.subarray(offset, offset + length)),
  );

const WAYS: Readonly<Record<string, (t: TestContext) => string | Promise<string>>> = {
  'a file': () => `verify-file=${same}`,
  'a server': overServer,
  'a list of digests': () => `verify-digests=${list}`,
};

for (const [name, words] of Object.entries(WAYS)) {
  test(`compared with ${name}`, async t => {
    const { device, below } = await verified(await words(t));
    await checkRead(device, 0, SIZE);
    await checkRead(device, 65_000, 70_000);
    await checkRead(device, SIZE - 1, 1);
    assert.deepEqual(
      [device.write, device.zero, device.trim, device.extents],
      Array(4).fill(undefined),
    );
    const place = 2 * BLOCK + 77;
    await below.write!(BigInt(place), Buffer.of(bytes[place]! ^ 1));
    const at = name.includes('digests') ? 2 * BLOCK : place;
    const wrong = {
      errno: 'EIO',
      offset: BigInt(at),
      message: new RegExp(`^verify: export 'a.u000a': at offset ${at} the `),
    };
    await assert.rejects(async () => await device.read(0n, SIZE), wrong);
    await assert.rejects(async () => await device.read(BigInt(place), 10), wrong);
    await checkRead(device, 0, 2 * BLOCK);
    await checkRead(device, 3 * BLOCK, BLOCK);
    await device.close!();
  });
}

test('what fails below is that error, and no difference', async () => {
  const read = () => Promise.reject(new Error('broken'));
  const below = { open: () => ({ size: BigInt(SIZE), read }) };
  const source = await filterSource(below, 'verify', `verify-file=${same}`);
  const device = await source.open(REQUEST);
  await assert.rejects(async () => await device.read(0n, 1), /^Error: broken/);
});

test('disks of another size', async () => {
  const short = file('short', digests[0]!);
  for (const [words, message] of [
    [`verify-file=${short}`, /^verify: '.*short' has 64 bytes, and the disk has 300001$/],
    [`verify-digests=${short}`, /has digests of 1 blocks of 65536 bytes, .* 300001 bytes has 5$/],
    [`verify-digests=${list} verify-block-size=4096`, /has digests of 5 blocks of 4096 bytes/],
  ] as const) {
    await assert.rejects(verified(words), { name: 'BlockError', message });
  }
});

test('parameters that cannot be', async () => {
  const bad = file('bad', `${digests[0]}\nnonsense\n`);
  for (const [words, message] of [
    ['verify-block-size=512', /^expected one of verify-file, verify-uri and verify-digests$/],
    [`verify-file=${same} verify-digests=${list}`, /^expected one of/],
    [`verify-file=${folder}/none`, /^verify-file: '.*none': /],
    [`verify-uri=http://x`, /^verify-uri: /],
    [`verify-digests=${folder}/none`, /^verify-digests: .*none/],
    [`verify-digests=${bad}`, /^verify-digests: .*bad:2: expected the 64 hexadecimal digits/],
    [`verify-digests=${list} verify-block-size=1000`, /^verify-block-size: 1000 is no power/],
  ] as const) {
    await assert.rejects(verified(words), { name: 'UsageError', message });
  }
});
