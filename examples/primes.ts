// What a generator yields, as a disk: nbdkit ./examples/primes.ts 1000
import { definePlugin, sourceOf } from 'nbdpipe/plugin';

function* primes(count: number): Generator<number> {
  const found: number[] = [];
  for (let n = 2; found.length < count; n++) {
    if (found.every(prime => n % prime !== 0)) yield found[found.push(n) - 1]!;
  }
}

export default definePlugin({
  name: 'primes',
  description: 'prime numbers, four bytes each, the lowest first',
  parameters: {
    count: { type: 'integer', default: '1000', minimum: 0, bare: true, help: 'How many' },
  },
  create: ({ count }) => {
    const disk = new Uint8Array(Uint32Array.from(primes(count)).buffer);
    return sourceOf(() => ({
      size: BigInt(disk.length),
      read: (offset, length) => disk.subarray(Number(offset), Number(offset) + length),
    }));
  },
});
