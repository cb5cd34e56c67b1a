import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openOver } from '../../../test/contract/open.ts';
import { kindsOf, recorded } from '../../../test/peer/recorder.ts';
import { StrictDevice } from '../../../test/peer/strict-device.ts';
import { readBytes } from '../../testing/model.ts';

const disk = () => new StrictDevice(Buffer.from('0123456789'));

async function textOf(words: string): Promise<string> {
  const device = await openOver(disk(), `map ${words}`);
  return (await readBytes(device, 0n, Number(device.size))).toString();
}

test('ranges are put into other places', async () => {
  assert.equal(await textOf('map=0-4:5 map=5-9:0'), '5678901234');
  assert.equal(await textOf('map=2-3:8'), '0189456789');
  assert.equal(await textOf('map=0-0:9 map=0-3:4'), '9567456789', 'what is given first counts');
  assert.equal(await textOf('map=4-:0 map-size=8'), '01230123');
  assert.equal(await textOf('map=10-14:0x0 map-size=15'), '012345678901234');
});

test('changes reach the bytes below', async () => {
  const { device: below, calls } = recorded(disk());
  const device = await openOver(below, 'map map=0-4:5 map=5-9:0');
  await device.write!(3n, Buffer.from('abcd'));
  await device.zero!(0n, 1);
  await device.flush!();
  assert.deepEqual(kindsOf(calls), ['write', 'write', 'zero', 'flush']);
  assert.equal((await readBytes(below, 0n, 10)).toString(), 'cd234\x00' + '67ab');
});

test('what does not parse or is not on the disk', async () => {
  for (const [words, name, message] of [
    ['map=0-4', 'UsageError', "map: '0-4': expected START-END:DEST"],
    ['map=4-0:5', 'UsageError', /^map: invalid range/],
    ['map=0-4:x', 'UsageError', /^map: cannot parse 'x'/],
    ['map=0-4:6', 'BlockError', /0-4 are mapped to 6, past the end of the disk, which is 10/],
    ['map-size=11', 'BlockError', /0-10 are mapped to 0/],
  ] as const) {
    await assert.rejects(openOver(disk(), `map ${words}`), { name, message }, words);
  }
});
