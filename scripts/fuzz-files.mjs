// `npm run fuzz:files -- [ROUNDS [SEED [NAME]]]`: disks with file systems and volumes, damaged that often
// each, from that seed on. What fails is named with its seed; a kind that is silent for a minute hangs.
import { fork } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { isAbsolute, join, resolve } from 'node:path';
import process from 'node:process';
import { build } from 'rolldown';

const root = resolve(import.meta.dirname, '..');
const folder = join(root, 'node_modules/.cache/nbdpipe-fuzz', String(process.pid));
const [rounds = '10000', seed = '1', wanted = ''] = process.argv.slice(2);
const SILENT_MS = 60_000;
/** Failures of one kind that are told of. */
const MOST_FAILURES = 5;

mkdirSync(folder, { recursive: true });
try {
  await build({
    cwd: root,
    input: join(root, 'test/fuzz/files-run.ts'),
    platform: 'node',
    external: id => !id.startsWith('.') && !isAbsolute(id),
    output: { dir: folder, format: 'esm', entryFileNames: 'run.mjs', chunkFileNames: '[name].mjs' },
  });
  const { names } = await played([], () => {});
  const queue = names.filter(name => name.includes(wanted));
  const workers = Array.from({ length: availableParallelism() }, async () => {
    let failures = 0;
    for (let name = queue.shift(); name; name = queue.shift()) failures += await playKind(name);
    return failures;
  });
  const failures = (await Promise.all(workers)).reduce((sum, count) => sum + count);
  process.exitCode = failures === 0 ? 0 : 1;
} finally {
  rmSync(folder, { recursive: true });
}

/** @returns how many rounds failed. */
async function playKind(name) {
  const start = Date.now();
  let last = Number(seed);
  const failures = new Map();
  const { done, hangs } = await played([name, rounds, seed], message => {
    last = message.seed ?? last;
    if (message.failed === undefined) return;
    const [what] = message.words.split('\n');
    if (!failures.has(what)) failures.set(what, message);
  });
  for (const { failed, words } of [...failures.values()].slice(0, MOST_FAILURES))
    console.log(`${name}: the round of seed ${failed} failed: ${words}`);
  if (!done) console.log(`${name}: it ${hangs ? 'hangs' : 'ends'} soon after seed ${last}`);
  const seconds = (Date.now() - start) / 1000;
  if (done) console.log(`${name}: ${rounds} rounds in ${Math.round(seconds)} s`);
  return failures.size + (done ? 0 : 1);
}

/** What the program says at last, or whether it had to be ended. */
function played(words, heard) {
  return new Promise(answer => {
    const program = fork(join(folder, 'run.mjs'), words);
    let said = {};
    const end = () => {
      said = { hangs: true };
      program.kill('SIGKILL');
    };
    let timer = setTimeout(end, SILENT_MS);
    program.on('message', message => {
      clearTimeout(timer);
      timer = setTimeout(end, SILENT_MS);
      heard(message);
      said = message;
    });
    program.on('exit', () => {
      clearTimeout(timer);
      answer(said);
    });
  });
}
