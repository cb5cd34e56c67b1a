import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GrowingMemory, makeImage, scribble } from '../../../test/peer/images.ts';
import { readBytes } from '../../testing/model.ts';
import { openImage } from '../open-image.ts';

const SIZE = 1 << 18;
const CLUSTER = 512;

async function image(): Promise<GrowingMemory> {
  const file = new GrowingMemory(Buffer.alloc(0));
  await makeImage(file, 'qcow2', BigInt(SIZE), `cluster_size=${CLUSTER}`);
  return file;
}

const open = (device: GrowingMemory) => openImage({ device }, { format: 'qcow2', readOnly: false });

/** Makes the table as programs before 2013 wrote it: without extra data. It becomes shorter. */
function withoutExtra({ bytes }: GrowingMemory): void {
  const at = Number(bytes.readBigUInt64BE(64));
  const table = Buffer.from(bytes.subarray(at));
  let [from, to] = [0, at];
  for (let left = bytes.readUInt32BE(60); left > 0; left--) {
    const extra = table.readUInt32BE(from + 36);
    const texts = table.readUInt16BE(from + 12) + table.readUInt16BE(from + 14);
    const after = from + 40 + extra + texts;
    table.writeUInt32BE(0, from + 36);
    table.copy(bytes, to, from, from + 40);
    table.copy(bytes, to + 40, from + 40 + extra, after);
    from = Math.ceil(after / 8) * 8;
    to = Math.ceil((to + 40 + texts) / 8) * 8;
  }
}

test('snapshots of old programs, whose table grows when it is written anew', async () => {
  const file = await image();
  const content = Buffer.alloc(SIZE);
  const made = await open(file);
  await scribble(made.device, content, { count: 5 });
  for (let index = 0; index < 8; index++) await made.snapshots!.create(`snapshot ${index}`);
  await made.device.close!();
  withoutExtra(file);
  const leaky = await open(file);
  // The old table had another cluster, which nothing refers to now.
  assert.equal((await leaky.check!('all')).leaksFixed, 1);
  await leaky.snapshots!.remove('snapshot 3');
  await leaky.device.write!(0n, Buffer.alloc(SIZE, 7));
  await leaky.snapshots!.apply('snapshot 5');
  await leaky.device.close!();
  const again = await open(file);
  assert.equal(again.device.size, BigInt(SIZE));
  assert.ok((await readBytes(again.device, 0n, SIZE)).equals(content));
  assert.deepEqual((await again.check!()).findings, []);
});

test('a name of a snapshot that is too long', async () => {
  const { snapshots } = await open(await image());
  await assert.rejects(snapshots!.create('x'.repeat(70_000)), {
    message: 'a name has at most 65535 bytes',
  });
});
