/** Damaged images of every file system: an error that is one, and no hang. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { FUZZED, type Round } from './disks.ts';
import { fuzz } from './fuzz.ts';

const folder = mkdtempSync(join(tmpdir(), 'nbdpipe-fuzz-files-'));
after(() => rmSync(folder, { recursive: true }));

for (const [name, { prepare }] of FUZZED) {
  let prepared: Promise<Round | undefined> | undefined;
  const round: Round = async random => {
    prepared ??= prepare(folder);
    await (await prepared)?.(random);
  };
  fuzz(`damaged: ${name}`, round, { share: 0.05 });
}
