import { type SpawnSyncReturns, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';

const FOLDERS = ['/usr/bin', '/usr/local/bin', '/bin'];

/** The C nbdkit of the system, never ours; undefined when it or the C nbdcopy is missing. */
export function findCNbdkit(): string | undefined {
  const folder = FOLDERS.find(
    path => existsSync(`${path}/nbdkit`) && existsSync(`${path}/nbdcopy`),
  );
  const path = folder && `${folder}/nbdkit`;
  return path && run(path, ['--version']).stdout.includes('nbdkit 1.') ? path : undefined;
}

/** What C nbdkit serves, copied by the C nbdcopy; undefined when it refuses. */
export function servedByC(nbdkit: string, ...words: string[]): Buffer | undefined {
  const copy = run(nbdkit, ['-U', '-', ...words, '--run', 'nbdcopy "$uri" -']);
  return copy.status === 0 ? copy.stdout : undefined;
}

function run(program: string, words: readonly string[]): SpawnSyncReturns<Buffer> {
  const PATH = `${FOLDERS.join(':')}:${process.env.PATH}`;
  return spawnSync(program, words, {
    env: { ...process.env, PATH },
    maxBuffer: 64 << 20,
    timeout: 20_000,
  });
}
