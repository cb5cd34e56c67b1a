/**
 * `node files-run NAME ROUNDS SEED`: plays rounds of one kind of disk, and tells its parent of each and of
 * what fails. It is a program of its own as the runner of tests makes each promise several times as slow.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { setImmediate } from 'node:timers/promises';
import { messageOf } from '../../src/block/errors.ts';
import { Random } from '../../src/testing/model.ts';
import { FUZZED } from './disks.ts';

/** Milliseconds between two words to the parent. */
const WORDS_EVERY = 500;

/** Nobody listens any more. */
process.on('disconnect', () => process.exit());

const [name, rounds, first] = process.argv.slice(2);
if (name === undefined) {
  process.send!({ names: [...FUZZED.keys()] });
} else await play(name, Number(rounds), Number(first));
process.disconnect();

async function play(kind: string, count: number, seed: number): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'nbdpipe-fuzz-files-'));
  try {
    const round = await FUZZED.get(kind)!.prepare(folder);
    assert.ok(round, 'it cannot be made here');
    for (let number = 0, said = 0; number < count; number++) {
      if (Date.now() - said > WORDS_EVERY) {
        process.send!({ seed: seed + number });
        said = Date.now();
        await setImmediate();
      }
      await round(new Random(seed + number)).catch(error =>
        process.send!({ failed: seed + number, words: messageOf(error) }),
      );
    }
    process.send!({ done: true });
  } finally {
    rmSync(folder, { recursive: true });
  }
}
