import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { Random } from '../../testing/model.ts';
import { Frames } from './frames.ts';

const SIZE = 16;

test('blocks whose memory is used again are never mistaken for each other', async () => {
  const frames = new Frames<number>(SIZE, 3 * SIZE);
  const random = new Random(5);
  let made = 0;
  const make = (key: number) => async (memory: Buffer) => {
    made += 1;
    memory.fill(0xee);
    if (random.below(3) === 0) await setImmediate();
    memory.fill(key);
    return SIZE;
  };
  const one = async () => {
    const key = random.below(8);
    const target = Buffer.alloc(4);
    assert.equal(await frames.copy(key, random.below(SIZE - 4), target, make(key)), 4);
    assert.ok(target.every(byte => byte === key));
  };
  for (let round = 0; round < 200; round++) await Promise.all(Array.from({ length: 6 }, one));
  assert.ok(made > 8, 'some of them were forgotten');
});

test('a block that is short, and one that fails', async () => {
  const frames = new Frames<string>(SIZE, SIZE);
  const target = Buffer.alloc(SIZE);
  const short = (memory: Buffer) => memory.write('short');
  assert.equal(frames.copy('a', 1, target, short), 4);
  assert.equal(target.toString('latin1', 0, 4), 'hort');
  const fail = () => Promise.reject(new Error('it is damaged'));
  await assert.rejects(async () => frames.copy('b', 0, target, fail), /damaged/);
  assert.equal(frames.copy('b', 0, target, short), 5, 'it is asked for again');
});
