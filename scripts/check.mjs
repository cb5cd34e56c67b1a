// `npm run check`: format and lint, types, floors. Ends with status 1 when one of them complains.
import { spawnSync } from 'node:child_process';
import { resolve } from 'node:path';
import process from 'node:process';

const root = resolve(import.meta.dirname, '..');
const bin = name => resolve(root, 'node_modules/.bin', name);

const CHECKS = [
  ['format and lint', bin('biome'), ['check', '--error-on-warnings', '.']],
  ['types', bin('tsc'), ['-p', '.']],
  ['floors', process.execPath, ['scripts/floors.mjs']],
];

let failed = false;
for (const [what, command, args] of CHECKS) {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: 'inherit' });
  if (error) console.error(`${what}: ${error.message}: run npm ci first`);
  if (status !== 0) failed = true;
  console.log(`${what}: ${status === 0 ? 'good' : 'failed'}`);
}
process.exit(failed ? 1 : 0);
