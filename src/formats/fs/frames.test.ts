import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Frames } from './frames.ts';

const SIZE = 16;

test('a block whose memory became another one before it was copied is made again', async () => {
  const frames = new Frames<string>(SIZE, SIZE);
  const fill = (memory: Buffer, letter: string) => {
    memory.fill(letter);
    return SIZE;
  };
  const target = Buffer.alloc(4);
  let made = 0;
  const slow = async (memory: Buffer) => {
    made += 1;
    return fill(memory, 'a');
  };
  const waiting = frames.copy('a', 0, target, slow);
  for (let turn = 0; turn < 20; turn++) {
    await undefined;
    frames.copy('b', 0, Buffer.alloc(4), memory => fill(memory, 'b'));
  }
  assert.equal(await waiting, 4);
  assert.equal(target.toString(), 'aaaa');
  assert.ok(made > 1, 'another one was in its memory');
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
