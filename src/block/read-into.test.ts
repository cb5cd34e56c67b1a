import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BlockDevice, Data, Memory } from './device.ts';
import { readInto } from './read-into.ts';

const device = (answer: (length: number, memory: Memory) => Data | PromiseLike<Data>) =>
  ({
    size: 1000n,
    read: (_offset, length, options) => answer(length, options!.memory!),
  }) satisfies BlockDevice;

const text = 'the quick brown fox jumps';

test('what the device has is copied', async () => {
  const target = Buffer.alloc(text.length);
  const views = [Buffer.from(text.slice(0, 5)), Buffer.from(text.slice(5))];
  await readInto(
    device(() => views),
    0n,
    target,
  );
  assert.equal(`${target}`, text);
  target.fill(0);
  await readInto(
    device(async () => Buffer.from(text)),
    0n,
    target,
  );
  assert.equal(`${target}`, text);
});

test('what is there already stays, in a part of a larger buffer', () => {
  const target = Buffer.alloc(text.length + 10).subarray(7, 7 + text.length);
  const { set } = target;
  target.set = (...request: Parameters<typeof set>) => {
    assert.notEqual(request[0].length, text.length, 'it is not copied again');
    set.apply(target, request);
  };
  const answer = readInto(
    device((length, memory) => {
      const lent = memory(length);
      Buffer.from(text).copy(lent);
      return lent;
    }),
    0n,
    target,
  );
  assert.equal(answer, undefined, 'and it is answered at once');
  assert.equal(`${target}`, text);
});

test('bytes that were put elsewhere into the memory are not lost', async () => {
  const target = Buffer.alloc(text.length, '!');
  await readInto(
    device((_length, memory) => {
      // It knows the beginning, and asks for memory for the rest only.
      const rest = memory(text.length - 4);
      Buffer.from(text.slice(4)).copy(rest);
      return [Buffer.from(text.slice(0, 4)), rest.subarray(0, 9), rest.subarray(9)];
    }),
    0n,
    target,
  );
  assert.equal(`${target}`, text);
});
