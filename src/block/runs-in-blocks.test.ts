import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BlockDevice, Extent } from './device.ts';
import { extentsInBlocks } from './runs-in-blocks.ts';

const KINDS: Readonly<Record<string, Pick<Extent, 'hole' | 'zero'>>> = {
  d: { hole: false, zero: false },
  h: { hole: true, zero: true },
  z: { hole: false, zero: true },
};

/** A disk with a letter for each byte, which tells of so many runs at once. */
function disk(letters: string, runsAtOnce = 99): BlockDevice {
  return {
    size: BigInt(letters.length),
    read: (_offset, length) => Buffer.alloc(length),
    extents: (offset, length) => {
      const words = letters.slice(Number(offset), Number(offset) + length).match(/(.)\1*/g)!;
      return words.slice(0, runsAtOnce).map(word => ({ length: word.length, ...KINDS[word[0]!]! }));
    },
  };
}

async function lettersOf(device: BlockDevice, offset = 0n): Promise<string> {
  const runs = await extentsInBlocks(device, 4)!(offset, Number(device.size - offset));
  const letter = ({ hole, zero }: Extent) => (hole ? 'h' : zero ? 'z' : 'd');
  return runs.map(run => letter(run).repeat(run.length)).join('');
}

test('a block is what all of it is', async () => {
  assert.equal(await lettersOf(disk('hhhhddddzzzz')), 'hhhhddddzzzz');
  assert.equal(await lettersOf(disk('hhzzhhhhhhdz')), 'zzzzhhhhdddd');
  assert.equal(await lettersOf(disk('hhzzhhhhhhdz'), 4n), 'hhhhdddd');
});

test('the last one may be short', async () => {
  assert.equal(await lettersOf(disk('hhhhdhhhhh')), 'hhhhddddhh');
  assert.equal(await lettersOf(disk('hz')), 'zz');
});

test('a disk that tells little at a time is asked for a block', async () => {
  assert.equal(await lettersOf(disk('hhzzhhhhhhdz', 1)), 'zzzz');
  assert.equal(await lettersOf(disk('hhhhhhzz', 1)), 'hhhh');
});

test('blocks of one byte change nothing', () => {
  assert.equal(extentsInBlocks({ size: 1n, read: () => Buffer.of(1) }, 4), undefined);
});
