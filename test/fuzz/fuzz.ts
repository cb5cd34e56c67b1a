import process from 'node:process';
import { test } from 'node:test';
import { Random } from '../../src/testing/model.ts';

const FIRST_SEED = Number(process.env.NBDPIPE_FUZZ_SEED ?? 1);
const SECONDS = Number(process.env.NBDPIPE_FUZZ_SECONDS ?? 2);

/** Rounds of each fuzzer, in place of a time. */
const ROUNDS = Number(process.env.NBDPIPE_FUZZ_ROUNDS ?? 0);

/** Nobody said how long. */
const IN_SUITE = process.env.NBDPIPE_FUZZ_SECONDS === undefined;

/** A round that takes so long hangs. */
const HANG_MS = 20_000;

/**
 * Plays rounds until the time is over, each with numbers of its own seed. The first round that
 * fails says how to play it again.
 * @param share of the time, for fuzzers that are many. @param script of npm that plays them.
 * @param least rounds that the suite plays, however long they take, and no more.
 */
export function fuzz(
  name: string,
  round: (random: Random) => Promise<void>,
  {
    share = 1,
    script = 'fuzz',
    least,
  }: { readonly share?: number; readonly script?: string; readonly least?: number } = {},
): void {
  test(`fuzz: ${name}`, async t => {
    const isCounted = IN_SUITE && least !== undefined;
    const end = isCounted || ROUNDS > 0 ? 0 : Date.now() + SECONDS * 1000 * share;
    const count = isCounted ? least : ROUNDS || 1;
    let rounds = 0;
    for (let seed = FIRST_SEED; rounds < count || Date.now() < end; seed++) {
      try {
        await inTime(round(new Random(seed)));
      } catch (error) {
        const again = `NBDPIPE_FUZZ_SEED=${seed} NBDPIPE_FUZZ_SECONDS=0 npm run ${script}`;
        throw new Error(`the round of seed ${seed} failed; play it again with ${again}`, {
          cause: error,
        });
      }
      rounds += 1;
    }
    t.diagnostic(`${rounds} rounds from seed ${FIRST_SEED}`);
  });
}

async function inTime(work: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const hang = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error('it hangs')), HANG_MS);
  });
  await Promise.race([work, hang]).finally(() => clearTimeout(timer));
}

/** Numbers at which things break. */
export const EDGES = [
  0, 1, 2, 7, 8, 9, 0x7f, 0x80, 0xff, 0x7fffffff, 0x80000000, 0xfffffff0, 0xffffffff,
];

/** The bytes with up to four changes: a bit, a number, a part lost, doubled, moved or made up. */
export function mutate(bytes: Buffer, random: Random): Buffer {
  let mutated = Buffer.from(bytes);
  for (let changes = 1 + random.below(4); changes > 0 && mutated.length > 0; changes--) {
    const at = random.below(mutated.length);
    const length = 1 + random.below(Math.min(64, mutated.length - at));
    const before = mutated.subarray(0, at);
    const part = mutated.subarray(at, at + length);
    const after = mutated.subarray(at + length);
    switch (random.below(7)) {
      case 0:
        mutated[at] = mutated[at]! ^ (1 << random.below(8));
        break;
      case 1:
        if (at + 4 <= mutated.length) {
          const edge = EDGES[random.below(EDGES.length)]!;
          if (random.below(2) === 0) mutated.writeUInt32BE(edge, at);
          else mutated.writeUInt32LE(edge, at);
        }
        break;
      case 2:
        mutated[at] = EDGES[random.below(9)]!;
        break;
      case 3:
        mutated = Buffer.concat([before, after]);
        break;
      case 4:
        mutated = Buffer.concat([before, part, part, after]);
        break;
      case 5:
        mutated = Buffer.concat([before, random.bytes(length), part, after]);
        break;
      default:
        mutated = Buffer.concat([before, after, part]);
    }
  }
  return mutated;
}

/** After so many pieces the rest comes as one: what breaks, breaks at the start or at an end. */
const MOST_PIECES = 50;

/** The bytes cut into pieces of random lengths. */
export function pieces(bytes: Buffer, random: Random): Buffer[] {
  const list: Buffer[] = [];
  const most = [1, 16, 100, 100_000][random.below(4)]!;
  for (let at = 0; at < bytes.length; ) {
    const length = list.length < MOST_PIECES ? 1 + random.below(most) : bytes.length;
    list.push(bytes.subarray(at, at + length));
    at += length;
  }
  return list;
}
