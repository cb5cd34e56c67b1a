// Folders import only from floors below them (docs/design.md); plugins and filters know no sibling.
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';

const FLOORS = [
  ['block'],
  ['declare'],
  ['protocol'],
  ['posix'],
  ['stores'],
  ['codecs', 'images', 'encryption'],
  ['transport'],
  ['client'],
  ['formats'],
  ['copy', 'content', 'fuse', 'ublk', 'scripts', 'http', 'inspect'],
  ['plugins', 'filters'],
  ['server', 'handle'],
  ['tools', 'testing'],
];
const ROOMS = new Set(['plugins', 'filters', 'formats', 'tools']);
const height = folder => FLOORS.findIndex(floor => floor.includes(folder));

const root = resolve(import.meta.dirname, '../src');
const faults = [];
for (const file of readdirSync(root, { recursive: true })) {
  const [folder, room, ...deeper] = file.split('/');
  if (!file.endsWith('.ts') || file.endsWith('.test.ts') || room === undefined) continue;
  const text = readFileSync(join(root, file), 'utf8');
  for (const [, target] of text.matchAll(/(?:from|import)\s*\(?\s*'(\.[^']+)'/g)) {
    const path = relative(root, resolve(root, dirname(file), target));
    const [toFolder, toRoom, ...toDeeper] = path.split('/');
    // The entries of the package, which are what users import, stand beside the tools.
    if (folder === 'tools' && toRoom === undefined) continue;
    const upwards = height(toFolder) > height(folder);
    const sideways = height(toFolder) === height(folder) && toFolder !== folder;
    const ownRoom = ROOMS.has(folder) && deeper.length > 0 ? room : undefined;
    const foreignRoom =
      toFolder === folder && ownRoom !== undefined && toDeeper.length > 0 && toRoom !== ownRoom;
    if (height(toFolder) < 0 || upwards || sideways || foreignRoom) faults.push(`${file}: ${path}`);
  }
}
if (faults.length > 0) {
  console.error(`imports that climb (floors: ${FLOORS.map(f => f.join('+')).join(' < ')}):`);
  for (const fault of faults) console.error(`  ${fault}`);
  process.exit(1);
}
